//! `landfall plan`: what a migration of this guest would do, before any page of it is sent.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use landfall_converge::simulator::{Scenario, SimulatedOutcome, SimulatedRun};
use landfall_converge::{ByteRate, Bytes, Limits, Policy, Throttle};
pub(crate) use landfall_node::plan::PlanError;
use landfall_node::plan::{HIDDEN, by_phase, habit, hides_its_rate, scenario, sentence};
use landfall_qmp::{ClientError, DirtyMeasurement as Told, DirtyRateInfo, DirtyRateMode};
use serde_json::{Value, json};

use crate::args::Output;
use crate::error::CliError;
use crate::exit::{EXIT_CODES, Exit};
use crate::quantities::{duration, in_ms, milliseconds};
use crate::simulate::{json_of, table};

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

pub(crate) fn plan(args: &PlanArgs) -> Result<Exit, CliError> {
    let mut client = crate::migrate::open(&args.socket)?;
    let failed = |source| CliError::Plan { socket: args.socket.clone(), source };
    eprintln!("watching the guest for {}", milliseconds(in_ms(args.watch)));
    let own = client.version().is_landfall();
    let (info, told) = landfall_node::plan::watch(&mut client, args.watch).map_err(failed)?;
    let plan = Plan::new(args, info, told, own);
    match args.output {
        Output::Table => write!(io::stdout(), "{}", plan.text(args))?,
        Output::Json => {
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&plan.json(args))?)?;
        }
    }
    Ok(if plan.arrives(args.policy) { Exit::Done } else { Exit::Refused })
}

impl Plan {
    fn new(args: &PlanArgs, info: DirtyRateInfo, told: Told, own: bool) -> Self {
        let limits = Limits {
            max_downtime: args.max_downtime,
            max_throttle: args.max_throttle,
            max_stall: args.max_stall,
            time_limit: args.time_limit,
            ..Limits::default()
        };
        let scenario = scenario(&told, own, args.bandwidth, args.policy, limits);
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
        if self.info.mode == DirtyRateMode::PageSampling {
            text += "          by samples of pages, which is rough: this machine cannot ask its dirty log now\n";
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

/// What to do where the machine refused.
pub(crate) fn advice(socket: &Path, error: &PlanError) -> Option<String> {
    match error {
        PlanError::Monitor(ClientError::Refused { .. }) => {
            Some(format!("see what it is doing with `landfall status {}`", socket.display()))
        }
        PlanError::Monitor(_) => None,
        PlanError::CannotMeasure => Some(
            "foretell it from figures of your own with `landfall simulate`; its migrations are steered all the same"
                .to_owned(),
        ),
        PlanError::NotMeasured(_) => Some("plan again once the guest runs".to_owned()),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
