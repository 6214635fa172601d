//! `landfall migration watch`: the migration under way, to its end.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use landfall_qmp::{Command, MigrationInfo, MigrationStatus};
use serde_json::{Value, json};

use super::{MigrationError, Subject};
use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};
use crate::follow::follow;
use crate::host::migration as of_node;
use crate::host::via::Via;
use crate::interrupts::Interrupts;
use crate::migrate::{connect, json_of, write_table};
use crate::progress::{View, Watch, on_stderr};

/// How what happens is written to the standard output stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Stream {
    /// For people: progress on the standard error stream, the bill at the end.
    #[default]
    Table,
    /// For programs: a JSON object a line, some ten a second, the report last.
    Ndjson,
}

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct WatchArgs {
    /// The migration's ID, as a-17, or the QMP socket of the source.
    pub(super) migration: Subject,
    /// How it is written.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(super) output: Stream,
    #[command(flatten)]
    via: Via,
}

pub(super) fn watch(args: &WatchArgs) -> Result<Exit, CliError> {
    let socket = match &args.migration {
        Subject::Id(id) => return of_node::watch(&args.via, id, args.output == Stream::Ndjson),
        Subject::Socket(socket) => socket,
    };
    let mut client = connect(socket)?;
    let monitor = |source| CliError::Monitor { socket: socket.clone(), source };
    let info: MigrationInfo = client.query(&Command::QueryMigrate).map_err(monitor)?;
    if info.status == MigrationStatus::None {
        return Err(MigrationError::None.into());
    }
    let mut watch: Box<dyn Watch> = match args.output {
        Stream::Table => on_stderr(""),
        Stream::Ndjson => Box::new(Ndjson),
    };
    // Nothing is done about Ctrl-C: it ends the looking, and the migration goes on.
    let report = follow(&mut client, watch.as_mut(), &Interrupts::default())
        .map_err(|source| CliError::Follow { socket: socket.clone(), source })?;
    drop(watch);
    match args.output {
        Stream::Table => write_table(&report)?,
        Stream::Ndjson => {
            writeln!(io::stdout(), "{}", json!({ "report": json_of(&report, false)? }))?;
        }
    }
    Ok(report.outcome.into())
}

/// A line an update. A reader that has gone away ends the writing, not the migration.
struct Ndjson;

impl Watch for Ndjson {
    fn info(&mut self, info: &MigrationInfo) {
        let _ = writeln!(io::stdout(), "{}", line(info));
    }

    fn update(&mut self, _view: &View) {}

    fn note(&mut self, text: &str) {
        eprintln!("{text}");
    }
}

/// One moment; every key carries its unit.
pub(super) fn line(info: &MigrationInfo) -> Value {
    let ram = info.ram.clone().unwrap_or_default();
    let landfall = info.landfall.clone().unwrap_or_default();
    json!({
        "status": info.status,
        "phase": landfall.phase,
        "pass": landfall.pass,
        "elapsed_ms": info.total_time,
        "sent_bytes": ram.transferred,
        "remaining_bytes": ram.remaining,
        "memory_bytes": ram.total,
        "dirty_rate_bytes_per_second": landfall.dirty_rate_bytes_per_second,
        "bandwidth_bytes_per_second": landfall.bandwidth_bytes_per_second,
        "expected_downtime_ms": info.expected_downtime,
        "throttle": landfall.throttle,
        "verdict": landfall.verdict,
    })
}
