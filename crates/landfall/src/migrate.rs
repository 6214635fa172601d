//! `landfall migrate`: moves the guest of a running machine, and tells how it went.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use landfall_migrate::report::Report;
use landfall_qmp::Client;
use serde_json::Value;

use crate::args::{MigrateArgs, Output, OutputArgs, Switch};
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::{begin, follow};
use crate::interrupts::Interrupts;
use crate::progress::on_stderr;
use crate::summary::{advice, summary};
use crate::table::table;

const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn migrate(args: &MigrateArgs) -> Result<Exit, CliError> {
    let socket = || args.socket.clone();
    let monitor = |source| CliError::Monitor { socket: socket(), source };
    let mut client = connect(&args.socket)?;
    let interrupts = Interrupts::install()?;
    let parameters = args.limits.parameters(args.bandwidth, args.time_limit);
    let auto_converge = args.auto_converge == Switch::On;
    begin(&mut client, args.uri.to_string(), auto_converge, parameters).map_err(monitor)?;
    let report = {
        let mut watch = on_stderr("");
        follow(&mut client, watch.as_mut(), &interrupts)
            .map_err(|source| CliError::Follow { socket: socket(), source })?
    };
    write_report(&report, args.output)?;
    Ok(report.outcome.into())
}

/// Connects to the monitor of a machine of Landfall's own.
pub(crate) fn connect(socket: &Path) -> Result<Client, CliError> {
    let client = Client::connect(socket, TIMEOUT)
        .map_err(|source| CliError::Monitor { socket: socket.to_owned(), source })?;
    if client.version().is_landfall() {
        return Ok(client);
    }
    let qemu = client.version().qemu;
    let version = format!("{}.{}.{}", qemu.major, qemu.minor, qemu.micro);
    Err(CliError::Qemu { socket: socket.to_owned(), version })
}

fn write_report(report: &Report, output: OutputArgs) -> Result<(), CliError> {
    match output.output {
        Output::Table => return write_table(report),
        Output::Json => {
            let shown = json_of(report, output.full)?;
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    tell(report, "");
    Ok(())
}

/// Writes the bill to the standard output stream, and how it went to the standard error stream.
pub(crate) fn write_table(report: &Report) -> Result<(), CliError> {
    writeln!(io::stdout(), "{}", table(&[(String::new(), report)]))?;
    tell(report, "");
    Ok(())
}

/// Writes to the standard error stream how it went, why, and what to do.
pub(crate) fn tell(report: &Report, prefix: &str) {
    eprintln!("{prefix}{}", summary(report));
    if let Some(reason) = &report.reason {
        eprintln!("  because: {reason}");
    }
    if let Some(advice) = advice(report) {
        eprintln!("  what to do: {advice}");
    }
}

/// The report as JSON; what was measured all the while only if `full`.
pub(crate) fn json_of(report: &Report, full: bool) -> serde_json::Result<Value> {
    let mut shown = serde_json::to_value(report)?;
    if let Some(members) = shown.as_object_mut().filter(|_| !full) {
        members.remove("timeline");
        members.remove("events");
    }
    Ok(shown)
}
