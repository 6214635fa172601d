//! What a migration is expected to do and cost.

use std::time::Duration;

use landfall_converge::simulator::{SimulatedOutcome, SimulatedPoint, SimulatedRun, simulate};
use landfall_converge::{ByteRate, Limits, Policy as Rule, Throttle};

use super::{Node, NodeError};
use crate::model::{MachineSpec, NodeName, Prediction, Settings, VmRecord};
use crate::plan;
use crate::quantities::{in_ms, milliseconds};

/// Points of a predicted time line that are shown.
const POINTS: usize = 200;

impl Node {
    /// Watches the guest and the way to the target for a moment, and foretells what a migration would do. Takes a second or two.
    pub(super) fn predict(
        &self,
        record: &VmRecord,
        target: &NodeName,
        settings: &Settings,
    ) -> Result<Prediction, NodeError> {
        let told = self.0.machines.measure(record)?;
        let measured = self.peer(target)?.measure()?;
        let most = self.share(*settings).bandwidth_bytes_per_second;
        let most = most.map_or(measured, |most| ByteRate::new(most as f64));
        let bandwidth = if most < measured { most } else { measured };
        let own = matches!(record.spec.machine, MachineSpec::Native(_));
        let rule = if settings.auto_converge { Rule::Adaptive } else { Rule::Off };
        let limits = Limits {
            max_downtime: settings.max_downtime(),
            max_throttle: Throttle::new(f64::from(settings.max_throttle_percent) / 100.0),
            time_limit: settings.time_limit(),
            ..Limits::default()
        };
        let run = |rule| {
            let scenario = plan::scenario(&told, own, bandwidth, rule, limits);
            let mut tried = plan::by_phase(&scenario, rule);
            let median = tried.len() / 2;
            if tried.is_empty() { simulate(&scenario) } else { tried.swap_remove(median) }
        };
        let unaided = run(Rule::Off);
        let asked = if settings.auto_converge { run(rule) } else { unaided.clone() };
        let dirty_rate = ByteRate::new(told.dirty_rate_bytes_per_second);
        Ok(Prediction {
            dirty_rate_bytes_per_second: told.dirty_rate_bytes_per_second,
            working_set_bytes: told.working_set_bytes,
            bandwidth_bytes_per_second: bandwidth.bytes_per_second(),
            arrives_unaided: arrives(&unaided),
            arrives: arrives(&asked),
            total_ms: in_ms(asked.total),
            downtime_ms: in_ms(asked.downtime),
            max_throttle: asked.max_throttle.share(),
            stolen_ms: in_ms(asked.stolen),
            sentence: sentence(&unaided, &asked, settings.auto_converge, dirty_rate, bandwidth),
            remaining: thinned(&asked, |point| point.remaining.0),
            throttle: thinned(&asked, |point| point.throttle.share()),
        })
    }
}

fn arrives(run: &SimulatedRun) -> bool {
    run.outcome == SimulatedOutcome::Completed
}

/// What an operator should know before saying yes.
fn sentence(
    unaided: &SimulatedRun,
    asked: &SimulatedRun,
    auto_converge: bool,
    dirty_rate: ByteRate,
    bandwidth: ByteRate,
) -> String {
    let rates = format!("the guest dirties {dirty_rate}, the link carries {bandwidth}");
    if arrives(unaided) {
        let total = milliseconds(in_ms(unaided.total));
        let downtime = milliseconds(in_ms(unaided.downtime));
        return format!(
            "arrives without help in about {total}, with {downtime} of downtime: {rates}"
        );
    }
    if !auto_converge {
        return format!("would not arrive without auto-converge: {rates}; switch it on");
    }
    if !arrives(asked) {
        return format!(
            "would not arrive within the limits: {rates}; allow a harder throttle, more downtime or more time"
        );
    }
    format!(
        "would not arrive without auto-converge: {rates}; with it about {}, the guest at {:.0} % of its speed for {} of that, and {} of downtime",
        milliseconds(in_ms(asked.total)),
        (1.0 - asked.max_throttle.share()) * 100.0,
        milliseconds(in_ms(held(asked))),
        milliseconds(in_ms(asked.downtime)),
    )
}

/// How long the guest is held back.
fn held(run: &SimulatedRun) -> Duration {
    let spans = run.timeline.windows(2).filter(|pair| !pair[0].throttle.is_none());
    spans.map(|pair| pair[1].at.saturating_sub(pair[0].at)).sum()
}

fn thinned<T>(run: &SimulatedRun, value: impl Fn(&SimulatedPoint) -> T) -> Vec<(f64, T)> {
    let every = run.timeline.len().div_ceil(POINTS).max(1);
    run.timeline.iter().step_by(every).map(|point| (in_ms(point.at), value(point))).collect()
}
