//! `landfall migration`: looks at the migration under way, and changes it.

mod set;
mod watch;

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, Subcommand};
use landfall_converge::{ByteRate, Throttle};
use landfall_migrate::report::{Outcome, Report};
use landfall_node::model::MigrationId;
use landfall_qmp::{
    Client, ClientError, Command, MigrationInfo, MigrationStatus, OnLimit, Parameters,
};
use serde_json::json;

use self::set::SetArgs;
use self::watch::WatchArgs;
use crate::args::{Output, OutputArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::follow;
use crate::host::migration as of_node;
use crate::host::via::{Asked, Via};
use crate::interrupts::Interrupts;
use crate::migrate::{connect, tell};
use crate::progress::on_stderr;
use crate::quantities::milliseconds;
use crate::status::migration_text;

#[derive(Debug, Subcommand)]
pub(crate) enum MigrationCommand {
    /// Lists the migrations from a node, the newest first.
    List(Asked),
    /// Changes the limits of the migration under way.
    Set(SetArgs),
    /// Tells how far the migration has come, or how it ended, and within which limits.
    Show(ShowArgs),
    /// Follows the migration to its end, however it was begun; Ctrl-C stops looking and changes nothing.
    Watch(WatchArgs),
    /// Calls the migration off: the guest stays at the source.
    Cancel(CancelArgs),
    /// Has a migration between nodes switch over now, whatever the downtime.
    Complete(CompleteArgs),
    /// Writes the bill of a migration between nodes that is over.
    Report(ReportArgs),
}

/// A migration, by the socket of its source, or by its ID where it is between nodes. Only an ID is a name, a hyphen and a
/// number, without a slash.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Socket(PathBuf),
    Id(MigrationId),
}

impl FromStr for Subject {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        let number = text.rsplit_once('-').map(|(_, number)| number).unwrap_or_default();
        let is_numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        Ok(match text.parse() {
            Ok(id) if is_numbered => Self::Id(id),
            _ => Self::Socket(PathBuf::from(text)),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    /// The migration's ID, as a-17.
    id: MigrationId,
    #[command(flatten)]
    via: Via,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The migration's ID, as a-17.
    id: MigrationId,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    via: Via,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The migration's ID, as a-17, or the QMP socket of the source.
    migration: Subject,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The migration's ID, as a-17, or the QMP socket of the source.
    migration: Subject,
    #[command(flatten)]
    via: Via,
}

/// Why a migration was not looked at or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error("no migration is under way")]
    None,
    #[error("it was too late to call the migration off: {0}")]
    TooLate(String),
}

pub(crate) fn migration(command: &MigrationCommand) -> Result<Exit, CliError> {
    match command {
        MigrationCommand::List(asked) => of_node::list(asked),
        MigrationCommand::Set(args) => set::set(args),
        MigrationCommand::Show(args) => match &args.migration {
            Subject::Id(id) => of_node::show(&args.asked, id),
            Subject::Socket(socket) => show(socket, args.asked.output),
        },
        MigrationCommand::Watch(args) => watch::watch(args),
        MigrationCommand::Cancel(args) => match &args.migration {
            Subject::Id(id) => of_node::cancel(&args.via, id),
            Subject::Socket(socket) => cancel(socket),
        },
        MigrationCommand::Complete(args) => of_node::complete(&args.via, &args.id),
        MigrationCommand::Report(args) => of_node::report(&args.via, &args.id, args.output),
    }
}

/// Whether a migration is under way, as far as `info` says.
fn is_under_way(info: &MigrationInfo) -> bool {
    info.status != MigrationStatus::None && !info.status.is_final()
}

fn show(socket: &Path, output: Output) -> Result<Exit, CliError> {
    let mut client = connect(socket)?;
    let (info, parameters) = ask(&mut client)
        .map_err(|source| CliError::Monitor { socket: socket.to_owned(), source })?;
    match output {
        Output::Table => {
            writeln!(io::stdout(), "migration  {}", migration_text(&info))?;
            writeln!(io::stdout(), "limits     {}", limits_text(&parameters))?;
        }
        Output::Json => {
            let shown = json!({ "migration": info, "parameters": parameters });
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    Ok(Exit::Done)
}

fn ask(client: &mut Client) -> Result<(MigrationInfo, Parameters), ClientError> {
    Ok((client.query(&Command::QueryMigrate)?, client.query(&Command::QueryMigrateParameters)?))
}

fn cancel(socket: &Path) -> Result<Exit, CliError> {
    let mut client = connect(socket)?;
    let socket = || socket.to_owned();
    let monitor = |source| CliError::Monitor { socket: socket(), source };
    let info: MigrationInfo = client.query(&Command::QueryMigrate).map_err(monitor)?;
    if !is_under_way(&info) {
        return Err(MigrationError::None.into());
    }
    client.execute(&Command::MigrateCancel).map_err(monitor)?;
    let report = follow(&mut client, on_stderr("").as_mut(), &Interrupts::default())
        .map_err(|source| CliError::Follow { socket: socket(), source })?;
    called_off(&report)
}

/// A migration that ended in another way than by being called off was not called off.
fn called_off(report: &Report) -> Result<Exit, CliError> {
    match report.outcome {
        Outcome::Cancelled | Outcome::GaveUp | Outcome::Failed => {
            tell(report, "");
            Ok(Exit::Done)
        }
        Outcome::Completed => {
            Err(MigrationError::TooLate("the guest has arrived at the destination".to_owned())
                .into())
        }
        Outcome::InDoubt => {
            tell(report, "");
            Ok(Exit::InDoubt)
        }
    }
}

/// What the migration may cost, in one line.
fn limits_text(parameters: &Parameters) -> String {
    let time = |time: std::time::Duration| milliseconds(time.as_secs_f64() * 1e3);
    let bandwidth = match parameters.max_bandwidth {
        0 => "as much as the link takes".to_owned(),
        most => ByteRate::new(most as f64).to_string(),
    };
    let end = if parameters.time_limit.is_zero() {
        "no time limit".to_owned()
    } else {
        let then = match parameters.on_limit {
            OnLimit::Abort => "gives up",
            OnLimit::Switchover => "switches over",
        };
        format!("{then} after {}", time(parameters.time_limit))
    };
    format!(
        "downtime {}, bandwidth {bandwidth}, throttle {}, stall {}, {end}",
        time(parameters.downtime_limit),
        Throttle::new(f64::from(parameters.max_cpu_throttle) / 100.0),
        time(parameters.max_stall),
    )
}

#[cfg(test)]
#[path = "migration_tests.rs"]
mod tests;
