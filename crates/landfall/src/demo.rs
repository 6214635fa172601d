//! `landfall demo`: a busy guest is moved between two processes on this machine, without auto-converge and with it.

mod process;
mod run;

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use landfall_converge::{ByteRate, Bytes};
use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::ClientError;
use landfall_vmm::machine::{DirtyLogChoice, best_machine};
use landfall_vmm::probe::{ParseWorkloadError, Pattern, Workload};

use crate::args::{Output, OutputArgs};
use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};
use crate::follow::FollowError;
use crate::interrupts::Interrupts;
use crate::limits::LimitArgs;
use crate::migrate::{json_of, tell};
use crate::quantities::milliseconds;
use crate::render;
use crate::table::table;
use crate::vm_run::MachineChoice;

/// How long a run that cannot arrive is watched.
const TIME_LIMIT_OFF: Duration = Duration::from_secs(10);
/// A run that should arrive is not left to run for ever if it does not.
const TIME_LIMIT_ON: Duration = Duration::from_secs(60);

/// Bytes a second. Left to itself a synthetic guest writes at the speed of memory: even the hundredth part of that, which
/// the hardest throttle leaves it, outruns the link shown. At this rate it is like the real guest that it stands for.
const SYNTHETIC_RATE: f64 = 1e9;

/// Which runs are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Runs {
    /// One without auto-converge, then one with it.
    #[default]
    Both,
    /// Only the one with it.
    On,
    /// Only the one without it.
    Off,
}

impl Runs {
    /// Whether the guest may be throttled, for each run in order.
    fn auto_converge(self) -> &'static [bool] {
        match self {
            Self::Both => &[false, true],
            Self::On => &[true],
            Self::Off => &[false],
        }
    }
}

#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct DemoArgs {
    /// Which runs are shown; the one without auto-converge is not expected to arrive.
    #[arg(long, value_name = "RUNS", value_enum, default_value_t)]
    pub(crate) auto_converge: Runs,
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// What the link carries, as in 125MB/s or 1Gbit/s.
    #[arg(long, value_name = "RATE", default_value = "125MB/s")]
    pub(crate) bandwidth: ByteRate,
    /// How long the run without auto-converge may take, as in 10s, which is what it is if not given. With
    /// --auto-converge on: how long that run may take; 60s if not given.
    #[arg(long, value_name = "DURATION", value_parser = crate::quantities::duration)]
    pub(crate) time_limit: Option<Duration>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Write a report with charts to this HTML file, too; only the picture if its name ends in .svg.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

/// The guest that is moved.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Guest")]
pub(crate) struct GuestArgs {
    /// What runs the guest.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) machine: MachineChoice,
    /// How many vCPUs.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) cpus: NonZeroU16,
    /// The guest's memory, as in 512MiB.
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    pub(crate) memory: Bytes,
    /// How its writes are recorded: auto, ring (which tells vCPUs apart) or bitmap.
    #[arg(long, value_name = "LOG", default_value_t)]
    pub(crate) dirty_log: DirtyLogChoice,
    /// What the guest does: sweep, random, read-only or bursts; with options as in bursts,on=300ms,off=1s.
    #[arg(long, default_value = "sweep", value_parser = workload)]
    pub(crate) workload: String,
    /// The memory that it keeps rewriting, as in 128MiB, which is what it is if not given.
    #[arg(long, value_name = "SIZE")]
    pub(crate) working_set: Option<Bytes>,
    /// How fast it writes, as in 500MB/s; if not given, as fast as it can in KVM, and 1GB/s where it is synthetic.
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<ByteRate>,
}

/// Refuses what is no workload here, rather than in the process that would run it.
fn workload(text: &str) -> Result<String, ParseWorkloadError> {
    text.parse::<Workload>().map(|_| text.to_owned())
}

impl GuestArgs {
    /// The workload with its options, as `vm run` takes it. The flags come last, so that they are what counts.
    fn workload(&self) -> String {
        let mut text = self.workload.clone();
        if let Some(Bytes(bytes)) = self.working_set {
            text += &format!(",working-set={bytes}B");
        }
        let asked = self.workload.parse::<Workload>().ok().and_then(|workload| workload.rate);
        let rate = self.rate.or_else(|| {
            (asked.is_none() && self.is_synthetic()).then(|| ByteRate::new(SYNTHETIC_RATE))
        });
        if let Some(rate) = rate {
            text += &format!(",rate={}B/s", rate.bytes_per_second());
        }
        text
    }

    fn is_synthetic(&self) -> bool {
        match self.machine {
            MachineChoice::Kvm => false,
            MachineChoice::Synthetic => true,
            MachineChoice::Auto => best_machine().0 == MachineKind::Synthetic,
        }
    }
}

/// Why the demonstration could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    #[error("no private directory for the sockets can be made")]
    Directory(#[source] io::Error),
    #[error("the process of the {role} cannot be started")]
    Spawn { role: &'static str, source: io::Error },
    #[error("the process of the {role} ended{}", said(.last_words))]
    Ended { role: &'static str, last_words: String },
    #[error("the {role} does not answer")]
    Monitor { role: &'static str, source: ClientError },
    #[error("the migration was not followed to its end")]
    Follow(#[from] FollowError),
    #[error("interrupted")]
    Interrupted,
    #[error("the report cannot be written to {path}")]
    Report { path: PathBuf, source: io::Error },
}

fn said(last_words: &str) -> String {
    if last_words.is_empty() {
        return String::new();
    }
    format!(", saying:\n    {}", last_words.replace('\n', "\n    "))
}

impl DemoError {
    /// What to do, where the text of the innermost cause does not say it.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Self::Directory(_) => "make room in the directory for temporary files (TMPDIR)",
            Self::Spawn { .. } => "check that this program may start processes",
            Self::Interrupted | Self::Follow(FollowError::Detached) => {
                "nothing is left behind: run it again at any time"
            }
            Self::Ended { .. } | Self::Monitor { .. } | Self::Follow(_) => {
                "try again with RUST_LOG=debug, and with --machine synthetic if it was KVM"
            }
            Self::Report { .. } => "check that the directory is there and may be written to",
        }
    }
}

pub(crate) fn demo(args: &DemoArgs) -> Result<Exit, CliError> {
    args.limits.on_limit.native().ok_or(crate::migrate::ONLY_QEMU)?;
    let interrupts = Interrupts::install()?;
    eprintln!("{}", heading(args));
    let mut runs = Vec::new();
    for &auto_converge in args.auto_converge.auto_converge() {
        let title = title(args, auto_converge);
        let report = run::run(args, auto_converge, &title, &interrupts)?;
        tell(&report, &format!("{title}: "));
        let cancelled = report.outcome == Outcome::Cancelled;
        runs.push((title, report));
        if cancelled {
            break;
        }
    }
    write_runs(&runs, args.output)?;
    if let Some(path) = &args.report {
        let reports: Vec<_> = runs.iter().map(|(_, report)| report.clone()).collect();
        render::write(path, &heading(args), &reports)
            .map_err(|source| DemoError::Report { path: path.clone(), source })?;
        eprintln!("the report is in {}", path.display());
    }
    Ok(exit(runs.iter().map(|(_, report)| report)))
}

/// What is shown, in a line.
fn heading(args: &DemoArgs) -> String {
    let GuestArgs { cpus, memory, .. } = &args.guest;
    // Parsed once already, when it was taken from the command line.
    let workload: Workload = args.guest.workload().parse().unwrap_or_default();
    let pattern = match (workload.pattern, workload.burst) {
        (_, Some(_)) => "bursts",
        (Pattern::Sweep, None) => "sweep",
        (Pattern::Random, None) => "random writes",
        (Pattern::HotCold, None) => "random writes, most of them to its hot part,",
        (Pattern::ReadOnly, None) => "reads only",
        (Pattern::Compute, None) => "nothing but computing",
    };
    let working_set = workload.working_set;
    let speed = workload.rate.map_or_else(|| "full speed".to_owned(), |rate| rate.to_string());
    let max_downtime = milliseconds(args.limits.max_downtime.as_secs_f64() * 1000.0);
    format!(
        "a guest of {memory} and {cpus} vCPU, {pattern} over {working_set} at {speed}; link {}; \
         downtime limit {max_downtime}",
        args.bandwidth,
    )
}

fn title(args: &DemoArgs, auto_converge: bool) -> String {
    if auto_converge {
        let policy = match args.limits.policy {
            landfall_qmp::Policy::Classic => "classic",
            landfall_qmp::Policy::Stepped => "stepped",
            landfall_qmp::Policy::Adaptive => "adaptive",
        };
        format!("auto-converge ({policy})")
    } else {
        "no auto-converge".to_owned()
    }
}

/// The time limit of a run. The one that is not expected to arrive gets the shorter one.
fn time_limit(args: &DemoArgs, auto_converge: bool) -> Duration {
    match (auto_converge, args.auto_converge) {
        (false, _) => args.time_limit.unwrap_or(TIME_LIMIT_OFF),
        (true, Runs::On) => args.time_limit.unwrap_or(TIME_LIMIT_ON),
        (true, _) => TIME_LIMIT_ON,
    }
}

fn write_runs(runs: &[(String, Report)], output: OutputArgs) -> Result<(), CliError> {
    match output.output {
        Output::Table => {
            let columns: Vec<_> =
                runs.iter().map(|(title, report)| (title.clone(), report)).collect();
            writeln!(io::stdout(), "{}", table(&columns))?;
        }
        Output::Json => {
            let list: Result<Vec<_>, _> =
                runs.iter().map(|(_, report)| json_of(report, output.full)).collect();
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&list?)?)?;
        }
    }
    Ok(())
}

/// The run with auto-converge decides, where there is one: that the other does not arrive is what is shown. But a guest
/// that was harmed, or a run that broke, is an error in either.
fn exit<'a>(runs: impl Iterator<Item = &'a Report> + Clone) -> Exit {
    let ended = |outcome: Outcome| runs.clone().any(|report| report.outcome == outcome);
    for outcome in [Outcome::InDoubt, Outcome::Cancelled, Outcome::Failed] {
        if ended(outcome) {
            return outcome.into();
        }
    }
    if runs.clone().any(|report| report.integrity != "ok") {
        return Exit::Error;
    }
    runs.last().map_or(Exit::Error, |report| report.outcome.into())
}

#[cfg(test)]
#[path = "demo_tests.rs"]
mod tests;
