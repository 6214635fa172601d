//! `landfall simulate`: what a migration would do, by arithmetic instead of by moving a guest.

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use landfall_converge::simulator::{
    GuestModel, LinkModel, Rhythm, Scenario, SimulatedOutcome, SimulatedPoint, SimulatedRun,
    VcpuModel, Workload, simulate as run,
};
use landfall_converge::{ByteRate, Bytes, Limits, Policy, Throttle};
use serde_json::{Value, json};

use crate::args::{Output, OutputArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::quantities::{duration, in_ms, milliseconds};
use landfall_node::plan::share_stolen;

/// What a simulated guest does to its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Guest {
    /// Rewrites the working set page by page, over and over.
    #[default]
    Sweep,
    /// Rewrites pages of the working set at random.
    Random,
    /// The same, but nine writes of ten go to a tenth of the working set.
    HotCold,
    /// Sweeps for half a second, rests for half a second.
    Bursts,
}

/// The share of the working set that is hot, and the share of writes that go there.
const HOT_SET: f64 = 0.1;
const HOT_WRITES: f64 = 0.9;

const BURST: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, Args)]
pub(crate) struct SimulateArgs {
    /// What the guest does to its memory.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) guest: Guest,
    /// All memory of the guest, as in 512MiB or 12TiB.
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    pub(crate) memory: Bytes,
    /// The part of its memory that holds anything but zeros, as in 128MiB; the working set if not given.
    #[arg(long, value_name = "SIZE")]
    pub(crate) touched: Option<Bytes>,
    /// The pages that it keeps rewriting, as in 128MiB, shared evenly among its vCPUs.
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    pub(crate) working_set: Bytes,
    /// Bytes of pages rewritten a second by all vCPUs together while nobody holds them back, as in 1GB/s.
    #[arg(long, value_name = "RATE", default_value = "1GB/s")]
    pub(crate) rate: ByteRate,
    /// The vCPUs that share the work.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) cpus: NonZeroU16,
    /// What the link carries, as in 125MB/s or 10Gbit/s.
    #[arg(long, value_name = "RATE", default_value = "125MB/s")]
    pub(crate) bandwidth: ByteRate,
    /// Who decides; all policies beside each other if not given.
    #[arg(long, default_value = "all", value_parser = policies())]
    pub(crate) policy: Policies,
    /// The longest downtime, as in 300ms.
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = duration)]
    pub(crate) max_downtime: Duration,
    /// The hardest throttle, in per cent of a vCPU's time, as in 80%.
    #[arg(long, value_name = "PERCENT", default_value = "99%")]
    pub(crate) max_throttle: Throttle,
    /// The longest single stop of a vCPU by the throttle, as in 10ms; stepped and classic do not keep it.
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = duration)]
    pub(crate) max_stall: Duration,
    /// The longest migration, in simulated time, as in 60s or 2h.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub(crate) time_limit: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// One policy, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policies {
    All,
    One(Policy),
}

fn policies() -> impl TypedValueParser<Value = Policies> {
    PossibleValuesParser::new(["all", "off", "classic", "stepped", "adaptive"])
        .map(|name| name.parse().map_or(Policies::All, Policies::One))
}

impl Policies {
    fn list(self) -> Vec<Policy> {
        match self {
            Self::All => Policy::ALL.to_vec(),
            Self::One(policy) => vec![policy],
        }
    }
}

/// Simulates one migration a policy, and shows their bills beside each other. Whether they arrive is the answer and no
/// failure: a simulation that could be done is done.
pub(crate) fn simulate(args: &SimulateArgs) -> Result<Exit, CliError> {
    let mut runs = Vec::new();
    for policy in args.policy.list() {
        match scenario(args, policy) {
            Ok(scenario) => runs.push((policy, run(&scenario))),
            Err(problem) => {
                clap::Error::raw(ErrorKind::ValueValidation, format!("{problem}\n")).exit()
            }
        }
    }
    let mut out = io::stdout().lock();
    match args.output.output {
        Output::Table => writeln!(out, "{}", report(args, &runs))?,
        Output::Json => {
            let runs = runs.iter().map(|(policy, run)| json_of(*policy, run, args.output.full));
            serde_json::to_writer_pretty(&mut out, &Value::Array(runs.collect()))?;
            writeln!(out)?;
        }
    }
    Ok(Exit::Done)
}

/// The scenario that was asked for, or what does not fit together in it.
fn scenario(args: &SimulateArgs, policy: Policy) -> Result<Scenario, String> {
    let mut scenario = Scenario::new(guest(args)?, LinkModel::Constant(args.bandwidth), policy);
    scenario.limits = Limits {
        max_downtime: args.max_downtime,
        max_throttle: args.max_throttle,
        max_stall: args.max_stall,
        time_limit: Some(args.time_limit),
        ..Limits::default()
    };
    // The controller gives up at the limit; the horizon only ends a run that would not even do that.
    scenario.horizon = args.time_limit.saturating_add(Duration::from_secs(60));
    Ok(scenario)
}

fn guest(args: &SimulateArgs) -> Result<GuestModel, String> {
    let SimulateArgs { memory, working_set, .. } = *args;
    if memory.whole_pages().0 == 0 {
        return Err(format!("a guest of {memory} has not even one page of memory"));
    }
    if working_set > memory {
        return Err(format!(
            "the working set of {working_set} does not fit into {memory} of memory"
        ));
    }
    let touched = args.touched.unwrap_or(working_set);
    if touched > memory {
        return Err(format!("{touched} cannot be touched in {memory} of memory"));
    }
    if touched < working_set {
        return Err(format!("{touched} touched is less than the working set of {working_set}"));
    }
    let vcpus = u64::from(args.cpus.get());
    let set = Bytes(working_set.0 / vcpus);
    let vcpu = |index| VcpuModel {
        workload: workload(args.guest, set),
        rate: args.rate * (1.0 / vcpus as f64),
        rhythm: rhythm(args.guest),
        base: Bytes(set.0 * index),
        phase: 0.0,
    };
    let zero = memory.saturating_sub(touched);
    Ok(GuestModel { memory, zero, vcpus: (0..vcpus).map(vcpu).collect() })
}

fn workload(guest: Guest, set: Bytes) -> Workload {
    match guest {
        Guest::Sweep | Guest::Bursts => Workload::Sweep { set },
        Guest::Random => Workload::Random { set },
        Guest::HotCold => {
            let hot = ByteRate::new(set.0 as f64 * HOT_SET).over(Duration::from_secs(1));
            Workload::HotAndCold { hot, cold: set.saturating_sub(hot), hot_share: HOT_WRITES }
        }
    }
}

fn rhythm(guest: Guest) -> Rhythm {
    match guest {
        Guest::Bursts => Rhythm::Bursts { on: BURST, off: BURST },
        Guest::Sweep | Guest::Random | Guest::HotCold => Rhythm::Steady,
    }
}

/// What was simulated, the figures, and what each policy believed last.
fn report(args: &SimulateArgs, runs: &[(Policy, SimulatedRun)]) -> String {
    let name = args.guest.to_possible_value();
    let mut text = format!(
        "simulated: {} of {} in {} of memory, {} over {} vCPU; link {}; downtime limit {}\n\n{}\n",
        name.as_ref().map_or("guest", |name| name.get_name()),
        args.working_set,
        args.memory,
        args.rate,
        args.cpus,
        args.bandwidth,
        time(args.max_downtime),
        table(runs),
    );
    for (policy, run) in runs {
        text += &format!("\n{policy}: {}", run.verdict.text);
    }
    text
}

type Figure = fn(&SimulatedRun) -> String;

const ROWS: &[(&str, Figure)] = &[
    ("outcome", |run| outcome(&run.outcome).to_owned()),
    ("total time", |run| time(run.total)),
    ("downtime", |run| if_arrived(run, time(run.downtime))),
    ("  predicted", |run| if_arrived(run, time(run.predicted_downtime))),
    ("passes", |run| run.passes.to_string()),
    ("sent", |run| run.sent.to_string()),
    ("hardest throttle", |run| run.max_throttle.to_string()),
    ("guest time stolen", |run| time(run.stolen)),
    ("  share of it", |run| format!("{:.1} %", share_stolen(run) * 100.0)),
    ("longest stall", |run| time(run.max_stall)),
];

pub(crate) fn table(runs: &[(Policy, SimulatedRun)]) -> Table {
    let right = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let titles = runs.iter().map(|(policy, _)| right(policy.name()));
    table.set_header(std::iter::once(Cell::new("")).chain(titles));
    for (name, figure) in ROWS {
        let figures = runs.iter().map(|(_, run)| right(&figure(run)));
        table.add_row(std::iter::once(Cell::new(name)).chain(figures));
    }
    table
}

fn outcome(outcome: &SimulatedOutcome) -> &'static str {
    match outcome {
        SimulatedOutcome::Completed => "arrived",
        SimulatedOutcome::GaveUp(_) => "gave up",
        SimulatedOutcome::Unfinished => "under way",
    }
}

fn if_arrived(run: &SimulatedRun, text: String) -> String {
    if run.outcome == SimulatedOutcome::Completed { text } else { "–".to_owned() }
}

fn time(time: Duration) -> String {
    milliseconds(in_ms(time))
}

/// The keys of a migration's report as far as a simulation has them, and `simulated`, which no report has.
pub(crate) fn json_of(policy: Policy, run: &SimulatedRun, full: bool) -> Value {
    let (outcome, reason) = match &run.outcome {
        SimulatedOutcome::Completed => ("completed", None),
        SimulatedOutcome::GaveUp(reason) => ("gave_up", Some(reason.to_string())),
        SimulatedOutcome::Unfinished => ("unfinished", None),
    };
    let mut value = json!({
        "simulated": true,
        "policy": policy,
        "outcome": outcome,
        "reason": reason,
        "total_ms": in_ms(run.total),
        "downtime_ms": in_ms(run.downtime),
        "predicted_downtime_ms": in_ms(run.predicted_downtime),
        "abandoned_switchovers": run.abandoned_switchovers,
        "passes": run.passes,
        "sent_bytes": run.sent,
        "max_throttle": run.max_throttle,
        "stolen_ms": in_ms(run.stolen),
        "guest_time_share_stolen": share_stolen(run),
        "max_stall_ms": in_ms(run.max_stall),
        "verdict": run.verdict,
    });
    if full {
        value["timeline"] = run.timeline.iter().map(point).collect();
    }
    value
}

fn point(point: &SimulatedPoint) -> Value {
    json!({
        "at_ms": in_ms(point.at),
        "pass": point.pass,
        "remaining_bytes": point.remaining,
        "dirty_rate_bytes_per_second": point.dirty_rate,
        "bandwidth_bytes_per_second": point.bandwidth,
        "throttle": point.throttle,
    })
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
