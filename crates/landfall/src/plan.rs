//! `landfall plan`: what a migration of this guest would do, before any page of it is sent.

mod measuring;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use landfall_converge::measurement::DirtyMeasurement;
use landfall_converge::simulator::{
    LinkModel, Rhythm, Scenario, SimulatedOutcome, SimulatedRun, VcpuModel, Workload, simulate,
};
use landfall_converge::{ByteRate, Bytes, Limits, Policy, Throttle};
use landfall_qmp::{ClientError, DirtyMeasurement as Told, DirtyRateInfo};
use serde_json::{Value, json};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};
use crate::quantities::{duration, in_ms, milliseconds};
use crate::simulate::{json_of, share_stolen, table};

/// What stopping, device state and the last messages take where nothing is known of them yet; as a migration assumes.
const FIXED_DOWNTIME: Duration = Duration::from_millis(5);

#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PlanArgs {
    /// The QMP socket of the machine that runs the guest.
    pub(crate) socket: PathBuf,
    /// What the link to the destination carries, as in 125MB/s or 10Gbit/s.
    #[arg(long, value_name = "RATE")]
    pub(crate) bandwidth: ByteRate,
    /// How long to watch the guest, as in 3s; 50ms to 60s, and long enough to see its whole habit.
    #[arg(long = "for", value_name = "DURATION", default_value = "3s", value_parser = watch)]
    pub(crate) watch: Duration,
    /// Who shall decide: adaptive, stepped, classic, or off to never throttle.
    #[arg(long, default_value_t)]
    pub(crate) policy: Policy,
    /// The longest downtime, as in 300ms.
    #[arg(long, value_name = "DURATION", default_value = "300ms", value_parser = duration)]
    pub(crate) max_downtime: Duration,
    /// The hardest throttle, in per cent of a vCPU's time, as in 80%.
    #[arg(long, value_name = "PERCENT", default_value = "99%")]
    pub(crate) max_throttle: Throttle,
    /// The longest single stop of a vCPU by the throttle, as in 10ms; stepped and classic do not keep it.
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = duration)]
    pub(crate) max_stall: Duration,
    /// The longest migration, as in 15min; no limit if not given.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) time_limit: Option<Duration>,
    /// Show all four policies beside each other.
    #[arg(long)]
    pub(crate) compare: bool,
    /// How the result is written.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

fn watch(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if (Duration::from_millis(50)..=Duration::from_secs(60)).contains(&time) {
        Ok(time)
    } else {
        Err(format!("'{text}' is too short or too long; watch for 50ms to 60s"))
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The machine did not answer, or refused.
    #[error(transparent)]
    Monitor(#[from] ClientError),
    /// The measurement ended without a result.
    #[error("the guest was not measured to the end: {0}")]
    NotMeasured(String),
}

/// How much faster a guest is taken to be that has rewritten all it has within the shortest time that QEMU counts in; as the
/// controller takes it to be once it steers.
const HIDDEN: f64 = 8.0;

/// A prediction, and what it stands on.
pub(crate) struct Plan {
    info: DirtyRateInfo,
    told: Told,
    scenario: Scenario,
    /// The first is without help; the one that was asked for is among them.
    runs: Vec<(Policy, SimulatedRun)>,
    /// The shortest and the longest total of the policy that was asked for, by where the guest stands when it begins.
    spread: Option<(Duration, Duration)>,
}

/// A sweep takes longer when it stands where the migration begins to send, and nobody knows where it will stand. So
/// several places are tried, and the one in the middle is told.
const PHASES: [f64; 5] = [0.0, 0.2, 0.4, 0.6, 0.8];

pub(crate) fn plan(args: &PlanArgs) -> Result<Exit, CliError> {
    let mut client = crate::migrate::open(&args.socket)?;
    let failed = |source| CliError::Plan { socket: args.socket.clone(), source };
    eprintln!("watching the guest for {}", milliseconds(in_ms(args.watch)));
    let own = client.version().is_landfall();
    let measure = if own { measuring::by_landfall } else { measuring::by_qemu };
    let (info, told) = measure(&mut client, args.watch).map_err(failed)?;
    let plan = Plan::new(args, info, told, own);
    match args.output {
        Output::Table => write!(io::stdout(), "{}", plan.text(args))?,
        Output::Json => {
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&plan.json(args))?)?;
        }
    }
    Ok(if plan.arrives(args.policy) { Exit::Done } else { Exit::Refused })
}

/// What the machine told, as the simulator takes it.
fn measurement(told: &Told) -> DirtyMeasurement {
    let time = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
    DirtyMeasurement {
        windows: told
            .windows
            .iter()
            .map(|window| (time(window.window_ms), Bytes(window.distinct_bytes)))
            .collect(),
        rhythm: told.bursts.map_or(Rhythm::Steady, |bursts| Rhythm::Bursts {
            on: time(bursts.on_ms),
            off: time(bursts.off_ms),
        }),
        vcpu_rates: told.vcpu_bytes_per_second.iter().copied().map(ByteRate::new).collect(),
        memory: Bytes(told.memory_bytes),
        non_zero: Bytes(told.non_zero_bytes),
    }
}

/// The same migration with the guest in different places, the quickest first; those that do not arrive last.
fn by_phase(scenario: &Scenario, policy: Policy) -> Vec<SimulatedRun> {
    let sweeps = |vcpu: &VcpuModel| matches!(vcpu.workload, Workload::Sweep { .. });
    let phases = if scenario.guest.vcpus.iter().any(sweeps) { &PHASES[..] } else { &[0.0] };
    let run = |phase: &f64| {
        let mut scenario = Scenario { policy, ..scenario.clone() };
        scenario.guest.vcpus.iter_mut().for_each(|vcpu| vcpu.phase = *phase);
        simulate(&scenario)
    };
    let mut runs: Vec<_> = phases.iter().map(run).collect();
    runs.sort_by_key(|run| (run.outcome != SimulatedOutcome::Completed, run.total));
    runs
}

impl Plan {
    fn new(args: &PlanArgs, info: DirtyRateInfo, told: Told, own: bool) -> Self {
        let measured = measurement(&told);
        let link = LinkModel::Constant(args.bandwidth);
        let mut scenario = Scenario::new(measured.guest(), link, args.policy);
        scenario.limits = Limits {
            max_downtime: args.max_downtime,
            max_throttle: args.max_throttle,
            max_stall: args.max_stall,
            time_limit: args.time_limit,
            ..Limits::default()
        };
        scenario.steered = !own;
        if !own && hides_its_rate(&told) {
            scenario.guest.vcpus.iter_mut().for_each(|vcpu| vcpu.rate = vcpu.rate * HIDDEN);
        }
        scenario.log_knows_vcpus = !measured.vcpu_rates.is_empty();
        let sync = Duration::try_from_secs_f64(told.sync_ms / 1e3).unwrap_or_default();
        scenario.fixed_downtime = FIXED_DOWNTIME + sync;
        // A migration that has not arrived after sending all memory so many times never will.
        let once = measured.memory.time_at(args.bandwidth).unwrap_or_default();
        scenario.horizon = args.time_limit.unwrap_or(once * 10) + Duration::from_secs(60);
        let mut policies = if args.compare { Policy::ALL.to_vec() } else { vec![Policy::Off] };
        if !policies.contains(&args.policy) {
            policies.push(args.policy);
        }
        let mut spread = None;
        let mut runs = Vec::new();
        for policy in policies {
            let mut tried = by_phase(&scenario, policy);
            if policy == args.policy
                && let (Some(least), Some(most)) = (tried.first(), tried.last())
                && most.outcome == SimulatedOutcome::Completed
            {
                spread = Some((least.total, most.total));
            }
            let median = tried.len() / 2;
            runs.push((policy, tried.swap_remove(median)));
        }
        Self { info, told, scenario, runs, spread }
    }

    fn run(&self, policy: Policy) -> Option<&SimulatedRun> {
        self.runs.iter().find(|(of, _)| *of == policy).map(|(_, run)| run)
    }

    fn arrives(&self, policy: Policy) -> bool {
        self.run(policy).is_some_and(|run| run.outcome == SimulatedOutcome::Completed)
    }

    fn text(&self, args: &PlanArgs) -> String {
        let mut text = String::new();
        let told = &self.told;
        // Writing to a string does not fail.
        let _ = writeln!(text, "measured  {}", habit(told));
        if self.scenario.steered && hides_its_rate(told) {
            let _ = writeln!(
                text,
                "          within {}, the shortest that QEMU counts in: it may be faster, and {HIDDEN} times that is planned for",
                milliseconds(told.windows.first().map_or(0.0, |window| window.window_ms)),
            );
        }
        let (used, all) = (Bytes(told.non_zero_bytes), Bytes(told.memory_bytes));
        let _ = if self.scenario.steered {
            writeln!(
                text,
                "          how much of its {all} is zeros QEMU does not tell: none is taken to be"
            )
        } else {
            writeln!(text, "          {used} of {all} of memory hold anything but zeros")
        };
        let _ = writeln!(
            text,
            "assumed   the link carries {}; downtime has a fixed part of {} and a limit of {}",
            args.bandwidth,
            milliseconds(in_ms(self.scenario.fixed_downtime)),
            milliseconds(in_ms(args.max_downtime)),
        );
        let _ = writeln!(text, "\n{}\n", table(&self.runs));
        let _ = writeln!(text, "unaided   {}", self.unaided());
        if self.scenario.steered {
            text += "          (of a QEMU: adaptive is its own throttle, steered; stepped is QEMU left alone)\n";
        }
        if args.policy != Policy::Off
            && let Some(run) = self.run(args.policy)
        {
            let _ = writeln!(text, "{:<9} {}", args.policy.name(), sentence(run));
            if let Some((least, most)) = self.spread.filter(|(least, most)| least != most) {
                let (least, most) = (milliseconds(in_ms(least)), milliseconds(in_ms(most)));
                let _ = writeln!(
                    text,
                    "          between {least} and {most}, by where the guest stands when it begins"
                );
            }
        }
        text
    }

    fn unaided(&self) -> String {
        self.run(Policy::Off).map(sentence).unwrap_or_default()
    }

    fn json(&self, args: &PlanArgs) -> Value {
        let limits = &self.scenario.limits;
        let plans: Vec<_> =
            self.runs.iter().map(|(policy, run)| json_of(*policy, run, false)).collect();
        json!({
            "arrives": self.arrives(args.policy),
            "policy": args.policy,
            "arrives_unaided": self.arrives(Policy::Off),
            "machine": if self.scenario.steered { "qemu" } else { "landfall" },
            "measured": {
                "dirty_rate_is_at_least": self.scenario.steered && hides_its_rate(&self.told),
                "non_zero_is_known": !self.scenario.steered,
                "measured_for_ms": self.info.calc_time,
                "mode": self.info.mode,
                "dirty_rate_bytes_per_second": self.told.dirty_rate_bytes_per_second,
                "working_set_bytes": self.told.working_set_bytes,
                "working_set_is_known": self.told.working_set_is_known,
                "pattern": self.told.pattern,
                "bursts": self.told.bursts,
                "windows": self.told.windows,
                "vcpu_bytes_per_second": self.told.vcpu_bytes_per_second,
                "memory_bytes": self.told.memory_bytes,
                "non_zero_bytes": self.told.non_zero_bytes,
            },
            "assumed": {
                "bandwidth_bytes_per_second": args.bandwidth,
                "fixed_downtime_ms": in_ms(self.scenario.fixed_downtime),
                "downtime_limit_ms": in_ms(limits.max_downtime),
                "max_throttle": limits.max_throttle,
                "max_stall_ms": in_ms(limits.max_stall),
                "time_limit_ms": limits.time_limit.map(in_ms),
            },
            "total_ms_from_to": self.spread.map(|(least, most)| [in_ms(least), in_ms(most)]),
            "plans": plans,
        })
    }
}

/// Whether the guest has rewritten all it has already in the shortest window.
fn hides_its_rate(told: &Told) -> bool {
    let (first, last) = (told.windows.first(), told.windows.last());
    first.zip(last).is_some_and(|(first, last)| {
        first.distinct_bytes > 0 && first.distinct_bytes as f64 > last.distinct_bytes as f64 * 0.9
    })
}

/// What the guest does, in one line.
fn habit(told: &Told) -> String {
    let rate = ByteRate::new(told.dirty_rate_bytes_per_second);
    let set = Bytes(told.working_set_bytes);
    let mut text = match told.pattern.as_str() {
        "idle" => return "the guest writes nothing".to_owned(),
        "sweep" => format!("the guest rewrites {set} page by page at {rate}"),
        "random" => format!("the guest rewrites {set} at random at {rate}"),
        _ => format!("the guest rewrites {set}, a part of it much more often, at {rate}"),
    };
    if let Some(bursts) = told.bursts {
        let (on, off) = (milliseconds(bursts.on_ms), milliseconds(bursts.off_ms));
        text += &format!(", for {on} at a time with {off} of rest");
    }
    if !told.working_set_is_known {
        text += "; no end of what it writes to was seen, so all memory in use is taken for it";
    }
    text
}

fn sentence(run: &SimulatedRun) -> String {
    if run.outcome != SimulatedOutcome::Completed {
        return format!("does not arrive; {}", run.verdict.text);
    }
    let mut text = format!(
        "arrives in {} with {} of downtime",
        milliseconds(in_ms(run.total)),
        milliseconds(in_ms(run.downtime)),
    );
    if run.max_throttle.is_none() {
        text += ", never throttled";
    } else {
        text += &format!(
            ", throttled to {} at the most, which steals {} of guest time ({:.0} %)",
            run.max_throttle,
            milliseconds(in_ms(run.stolen)),
            share_stolen(run) * 100.0
        );
    }
    text
}

/// What to do where the machine refused.
pub(crate) fn advice(socket: &Path, error: &PlanError) -> Option<String> {
    match error {
        PlanError::Monitor(ClientError::Refused { .. }) => {
            Some(format!("see what it is doing with `landfall status {}`", socket.display()))
        }
        PlanError::Monitor(_) => None,
        PlanError::NotMeasured(_) => Some("plan again once the guest runs".to_owned()),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
