//! `landfall migrate`: moves the guest of a running machine, and tells how it went.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory;
use landfall_migrate::options::Uri;
use landfall_migrate::report::{Outcome, Report};
use landfall_node::model::{MigrationRequest, NodeName};
use landfall_pilot::{Options, Pilot};
use landfall_qmp::{Client, NO_BANDWIDTH_LIMIT, PageEncoding, Policy};
use serde_json::Value;

use crate::args::{Cli, Destination, MigrateArgs, Output, OutputArgs, Switch};
use crate::channels::Channels;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::{begin, follow};
use crate::host;
use crate::host::settings::SettingsArgs;
use crate::interrupts::Interrupts;
use crate::limits::{LimitArgs, bytes_per_second};
use crate::progress::on_stderr;
use crate::qemu::{OnInterrupt, Telling, failed, memo, name_of, report, steer};
use crate::summary::{advice, summary};
use crate::table::table;

/// How long a machine may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn migrate(args: &MigrateArgs) -> Result<Exit, CliError> {
    let uri = match &args.to {
        Destination::Node(target) => return host::migrate(args, target),
        Destination::Uri(uri) => uri,
    };
    let limits = args.limits.of_socket().unwrap_or_else(|why| {
        Cli::command().error(clap::error::ErrorKind::InvalidValue, why).exit()
    });
    let keyed = args.idempotency_key.is_some();
    let given = [(args.check, "--check"), (args.detach, "--detach"), (keyed, "--idempotency-key")];
    for (given, flag) in given {
        if given {
            let why = "is for machines of a node; see `landfall plan` for one that is named by its socket";
            return Err(CliError::Flag { flag, why });
        }
    }
    if args.hand_over && !matches!(uri, Uri::Unix(_)) {
        let why = "passes file descriptors on, which only a Unix socket carries, between two processes of one host; give unix:PATH";
        return Err(CliError::Flag { flag: "--hand-over", why });
    }
    let client = open(&args.machine)?;
    if client.version().is_landfall() {
        migrate_own(args, uri, &limits, client)
    } else {
        migrate_qemu(args, uri, &limits, client)
    }
}

fn migrate_own(
    args: &MigrateArgs,
    uri: &Uri,
    limits: &LimitArgs,
    mut client: Client,
) -> Result<Exit, CliError> {
    let socket = || args.machine.clone();
    let monitor = |source| CliError::Monitor { socket: socket(), source };
    limits.on_limit.native().ok_or(ONLY_QEMU)?;
    let interrupts = Interrupts::install()?;
    let mut parameters = limits.parameters(args.bandwidth, args.limits.time_limit);
    args.security.add_to(&mut parameters, args.tls_name.as_deref());
    parameters.encoding = Some(args.encoding);
    args.channels.add_to(&mut parameters, args.bandwidth);
    parameters.hand_over = Some(args.hand_over);
    let auto_converge = !args.hand_over && args.auto_converge.unwrap_or_default() == Switch::On;
    begin(&mut client, uri.to_string(), auto_converge, parameters).map_err(monitor)?;
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
fn migrate_qemu(
    args: &MigrateArgs,
    uri: &Uri,
    limits: &LimitArgs,
    client: Client,
) -> Result<Exit, CliError> {
    if args.hand_over {
        let why = "cannot be had with QEMU: set its parameter mode to cpr-transfer";
        return Err(CliError::Flag { flag: "--hand-over", why });
    }
    if limits.policy != Policy::Adaptive {
        let why = "cannot be had with QEMU, which has one rule of its own: without this flag Landfall steers it";
        return Err(CliError::Flag { flag: "--policy", why });
    }
    if limits.verify {
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
    let machine = name_of(&args.machine);
    let failed = failed(&machine);
    let interrupts = Interrupts::install()?;
    let options = args.pilot_options(limits);
    let auto_converge = options.auto_converge;
    let mut telling = Telling::new();
    let mut pilot = Pilot::attach(Box::new(client), options, memo(&args.machine), &mut telling)
        .map_err(&failed)?;
    pilot.begin(&uri.to_string()).map_err(&failed)?;
    let bill = steer(&mut pilot, telling, &interrupts, OnInterrupt::Cancel).map_err(&failed)?;
    let Some(report) = bill.as_ref().and_then(|bill| report(bill, auto_converge)) else {
        eprintln!("left while it was being cancelled; see how it ends with QEMU's `query-migrate`");
        return Ok(Exit::Cancelled);
    };
    write_report(&report, args.output)?;
    Ok(report.outcome.into())
}

impl MigrateArgs {
    fn pilot_options(&self, limits: &LimitArgs) -> Options {
        Options {
            auto_converge: self.auto_converge.unwrap_or_default() == Switch::On,
            max_throttle: limits.max_throttle,
            max_downtime: Some(limits.max_downtime),
            // Without a limit of its own QEMU keeps to 128 MiB a second; none is asked for by the most that it takes.
            max_bandwidth: Some(self.bandwidth.map_or(NO_BANDWIDTH_LIMIT, bytes_per_second)),
            time_limit: self.limits.time_limit.filter(|limit| !limit.is_zero()),
            at_limit: limits.on_limit.into(),
        }
    }

    /// What is asked of a node.
    pub(crate) fn request(&self, target: &NodeName) -> Result<MigrationRequest, CliError> {
        let policy = self.limits.policy.as_deref().map(str::parse).transpose();
        let policy = policy.unwrap_or_else(|error: landfall_node::model::NameError| {
            Cli::command().error(clap::error::ErrorKind::InvalidValue, error).exit()
        });
        let settings = SettingsArgs {
            auto_converge: self.auto_converge,
            max_downtime: self.limits.max_downtime,
            max_throttle: self.limits.max_throttle,
            bandwidth: self.bandwidth,
            time_limit: self.limits.time_limit,
            on_limit: self.limits.on_limit,
        };
        Ok(MigrationRequest { target: target.clone(), policy, settings: settings.change()? })
    }

    /// What only the process that runs the guest can be told.
    pub(crate) fn refuse_flags_of_sockets(&self) -> Result<(), CliError> {
        let why =
            "is for a machine that is named by its socket; between nodes, the nodes decide it";
        for (given, flag) in [
            (self.limits.max_stall.is_some(), "--max-stall"),
            (self.limits.verify, "--verify"),
            (self.limits.peer_timeout.is_some(), "--peer-timeout"),
            (self.channels != Channels::Auto, "--channels"),
            (self.encoding != PageEncoding::None, "--encoding"),
            (self.hand_over, "--hand-over"),
            (self.security.is_given(), "--tls-identity, or --insecure,"),
            (self.tls_name.is_some(), "--tls-name"),
        ] {
            if given {
                return Err(CliError::Flag { flag, why });
            }
        }
        Ok(())
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
    // That it was cancelled is said already.
    if let Some(reason) = report.reason.as_ref().filter(|_| report.outcome != Outcome::Cancelled) {
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
