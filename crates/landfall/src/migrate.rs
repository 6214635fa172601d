//! `landfall migrate`: moves the guest of a running machine, and tells how it went.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use landfall_migrate::report::Report;
use landfall_pilot::{Options, Pilot};
use landfall_qmp::{Client, PageEncoding, Policy};
use serde_json::Value;

use crate::args::{MigrateArgs, Output, OutputArgs, Switch};
use crate::channels::Channels;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::{begin, follow};
use crate::interrupts::Interrupts;
use crate::limits::bytes_per_second;
use crate::progress::on_stderr;
use crate::qemu::{OnInterrupt, Telling, failed, memo, name_of, report, steer};
use crate::summary::{advice, summary};
use crate::table::table;

/// How long a machine may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// 1 TB/s, in the place of no limit: QEMU takes 0 for its default in some versions and for none in others.
const NO_BANDWIDTH_LIMIT: u64 = 1_000_000_000_000;

pub(crate) fn migrate(args: &MigrateArgs) -> Result<Exit, CliError> {
    let client = open(&args.socket)?;
    if client.version().is_landfall() {
        migrate_own(args, client)
    } else {
        migrate_qemu(args, client)
    }
}

fn migrate_own(args: &MigrateArgs, mut client: Client) -> Result<Exit, CliError> {
    let socket = || args.socket.clone();
    let monitor = |source| CliError::Monitor { socket: socket(), source };
    args.limits.on_limit.native().ok_or(ONLY_QEMU)?;
    let interrupts = Interrupts::install()?;
    let mut parameters = args.limits.parameters(args.bandwidth, args.time_limit);
    args.security.add_to(&mut parameters, args.tls_name.as_deref());
    parameters.encoding = Some(args.encoding);
    parameters.multifd_channels = Some(args.channels.number(args.bandwidth));
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

/// The post-copy of a machine that has none.
pub(crate) const ONLY_QEMU: CliError =
    CliError::Flag { flag: "--on-limit postcopy", why: "is for QEMU alone" };

/// Moves the guest of a stock QEMU to another: QEMU does it, and is steered.
fn migrate_qemu(args: &MigrateArgs, client: Client) -> Result<Exit, CliError> {
    if args.limits.policy != Policy::Adaptive {
        let why = "cannot be had with QEMU, which has one rule of its own: without this flag Landfall steers it";
        return Err(CliError::Flag { flag: "--policy", why });
    }
    if args.limits.verify {
        let why = "cannot be had with QEMU, which compares no digests";
        return Err(CliError::Flag { flag: "--verify", why });
    }
    if args.security.is_given() || args.tls_name.is_some() {
        let flag = if args.security.insecure { "--insecure" } else { "--tls-identity" };
        let why = "cannot be had with QEMU, which has TLS of its own: set its parameter tls-creds";
        return Err(CliError::Flag { flag, why });
    }
    if args.encoding != PageEncoding::None {
        let why = "cannot be had with QEMU: set its capability xbzrle, or its parameter multifd-compression";
        return Err(CliError::Flag { flag: "--encoding", why });
    }
    if args.channels != Channels::Auto {
        let why = "cannot be had with QEMU: set its capability multifd and its parameter multifd-channels";
        return Err(CliError::Flag { flag: "--channels", why });
    }
    let machine = name_of(&args.socket);
    let failed = failed(&machine);
    let interrupts = Interrupts::install()?;
    let auto_converge = args.auto_converge == Switch::On;
    let mut telling = Telling::new();
    let mut pilot =
        Pilot::attach(Box::new(client), args.pilot_options(), memo(&args.socket), &mut telling)
            .map_err(&failed)?;
    pilot.begin(&args.uri.to_string()).map_err(&failed)?;
    let bill = steer(&mut pilot, telling, &interrupts, OnInterrupt::Cancel).map_err(&failed)?;
    let Some(report) = bill.as_ref().and_then(|bill| report(bill, auto_converge)) else {
        eprintln!("left while it was being cancelled; see how it ends with QEMU's `query-migrate`");
        return Ok(Exit::Cancelled);
    };
    write_report(&report, args.output)?;
    Ok(report.outcome.into())
}

impl MigrateArgs {
    fn pilot_options(&self) -> Options {
        Options {
            auto_converge: self.auto_converge == Switch::On,
            max_throttle: self.limits.max_throttle,
            max_downtime: Some(self.limits.max_downtime),
            // Without a limit of its own QEMU keeps to 128 MiB a second; none is asked for by the most that it takes.
            max_bandwidth: Some(self.bandwidth.map_or(NO_BANDWIDTH_LIMIT, bytes_per_second)),
            time_limit: self.time_limit,
            at_limit: self.limits.on_limit.into(),
        }
    }
}

/// Connects to the monitor of any machine.
pub(crate) fn open(socket: &Path) -> Result<Client, CliError> {
    Client::connect(socket, TIMEOUT)
        .map_err(|source| CliError::Monitor { socket: socket.to_owned(), source })
}

/// Connects to the monitor of a machine of Landfall's own.
pub(crate) fn connect(socket: &Path) -> Result<Client, CliError> {
    let client = open(socket)?;
    if client.version().is_landfall() {
        return Ok(client);
    }
    let qemu = client.version().qemu;
    let version = format!("{}.{}.{}", qemu.major, qemu.minor, qemu.micro);
    Err(CliError::Qemu { socket: socket.to_owned(), version })
}

pub(crate) fn write_report(report: &Report, output: OutputArgs) -> Result<(), CliError> {
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
