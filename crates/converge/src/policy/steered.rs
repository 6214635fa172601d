//! Landfall's own rule by way of QEMU's throttle.
//!
//! QEMU moves its throttle at the end of every second bad pass at the earliest, so what is set must be right at once. It
//! reads the dirty log once a pass, so a guest that rewrites all it has between two looks hides how fast it is. And it lets
//! a vCPU run for 10 ms between two stalls, so a harder throttle is a longer stall.

use std::time::Duration;

use crate::decision::VcpuThrottles;
use crate::duty::DutyCycle;
use crate::estimate::page_rate;
use crate::limits::Limits;
use crate::policy::{Change, Situation, plan};
use crate::units::{Bytes, Throttle};

/// How long QEMU lets a vCPU run between two stalls.
const RUN: Duration = Duration::from_millis(10);
/// Stalls of 190 ms at most, as long as that suffices: a guest bears them as it bears the downtime.
const COMFORTABLE: f64 = 0.95;
/// A guest that dirtied so much of what was sent meanwhile may have rewritten all it has, and hide how fast it is.
const SATURATED: f64 = 0.85;
/// How much faster it is then taken to be.
const HIDDEN: f64 = 8.0;
/// Good news must come in so many readings in a row before a guest is let go. One will do: QEMU takes another period before
/// it moves, in which this can be taken back.
const EVIDENCE_TO_RELEASE: u32 = 1;

/// Throttle at the end of a bad pass, harder when that does not do, let go when it is over.
#[derive(Clone, Debug)]
pub(crate) struct Steered {
    /// Readings in a row that said that it would arrive unaided now.
    calm: u32,
    /// How many it takes. Doubled each time the guest came back after it was let go.
    calm_enough: u32,
    /// It was held and let go before.
    was_held: bool,
    /// What left since the latest reading.
    sent: Bytes,
    /// In the latest reading it dirtied about as much as was sent meanwhile.
    saturated: bool,
    to_go: Option<f64>,
}

impl Default for Steered {
    fn default() -> Self {
        Self {
            calm: 0,
            calm_enough: EVIDENCE_TO_RELEASE,
            was_held: false,
            sent: Bytes(0),
            saturated: false,
            to_go: None,
        }
    }
}

impl Steered {
    /// The change that the situation asks for, if any.
    pub(crate) fn decide(&mut self, at: &Situation<'_>) -> Option<Change> {
        self.sent = Bytes(self.sent.0.saturating_add(at.sample.sent.0));
        let harvest = at.sample.harvest.as_ref()?;
        let sent = std::mem::replace(&mut self.sent, Bytes(0));
        // By what was sent and not by what the link can carry: while zero pages were counted, nothing was.
        self.saturated = harvest.newly_dirty.bytes().0 as f64 >= sent.0 as f64 * SATURATED;
        if !at.estimator.bandwidth.is_known() {
            return None;
        }
        let calm = !self.saturated && would_arrive(at);
        self.calm = if calm { self.calm + 1 } else { 0 };
        if *at.throttles == VcpuThrottles::Released {
            return if calm { None } else { self.hold(at) };
        }
        let in_force = is_in_force(at);
        if self.calm >= self.calm_enough || calm && !in_force {
            return Some(self.release());
        }
        if in_force && !calm && !self.comes_down(at) { self.harder(at) } else { None }
    }

    /// Seconds to go under the throttle that was decided.
    pub(crate) fn to_go(&self) -> Option<f64> {
        self.to_go
    }

    /// Whether its rate is only known to be no lower than what was seen.
    pub(crate) fn hides_its_rate(&self) -> bool {
        self.saturated
    }

    fn hold(&mut self, at: &Situation<'_>) -> Option<Change> {
        if self.was_held {
            self.calm_enough = self.calm_enough.saturating_mul(2);
            self.was_held = false;
        }
        let latest = at.estimator.dirtying.latest();
        let outlook =
            at.outlook.no_slower_than(if self.saturated { latest * HIDDEN } else { latest });
        let limits = Limits {
            max_throttle: at.limits.max_throttle.min(Throttle::new(COMFORTABLE)),
            // It is the throttle that bounds the stall here.
            max_stall: Duration::from_secs(1),
            ..*at.limits
        };
        let plan = plan::cheapest(&outlook, &limits, &[]);
        let throttle = plan.as_ref().map_or(limits.max_throttle, plan::Plan::hardest);
        self.to_go = plan.map(|plan| plan.time).filter(|time| time.is_finite());
        self.set(at, throttle)
    }

    /// What was held did not come down: hold it so that it dirties half of what the link carries, by what was seen of it now.
    fn harder(&mut self, at: &Situation<'_>) -> Option<Change> {
        let now = at.throttles.hardest();
        let needed = 1.0 - at.outlook.bandwidth / (2.0 * at.estimator.dirtying.latest());
        let throttle = Throttle::new(needed.max(now.share() + 0.01)).min(at.limits.max_throttle);
        if throttle.share() < now.share() + 0.005 {
            return None;
        }
        self.to_go = None;
        self.set(at, throttle)
    }

    /// Whether what remains comes down under the throttle in force.
    fn comes_down(&self, at: &Situation<'_>) -> bool {
        let dirtying = &at.estimator.dirtying;
        let load = at.outlook.cautious.at_rate(dirtying.latest());
        let (share, outlook) = (dirtying.latest_run_share(), &at.outlook);
        !self.saturated
            && outlook.time_to_stop(&load, share).is_some_and(|time| time <= outlook.patience)
    }

    fn set(&self, at: &Situation<'_>, throttle: Throttle) -> Option<Change> {
        // QEMU takes whole numbers of per cent.
        let per_cent = (throttle.share() * 100.0 - 1e-6).ceil();
        let throttle = Throttle::new(per_cent / 100.0).min(at.limits.max_throttle);
        let duty = DutyCycle::fixed_run(throttle, RUN)?;
        let (rate, carried) =
            (page_rate(at.estimator.dirtying.latest()), page_rate(at.outlook.bandwidth));
        let hides = if self.saturated { "at least " } else { "" };
        Some(Change {
            throttles: VcpuThrottles::Uniform(duty),
            reason: format!(
                "the guest dirties {hides}{rate} and the link carries {carried}: to be held at {throttle}"
            ),
        })
    }

    fn release(&mut self) -> Change {
        self.calm = 0;
        self.was_held = true;
        self.to_go = None;
        Change {
            throttles: VcpuThrottles::Released,
            reason: "the guest would arrive unaided now: let go".to_owned(),
        }
    }
}

/// Whether the guest, as it was seen last, would arrive unaided.
fn would_arrive(at: &Situation<'_>) -> bool {
    let latest = at.estimator.dirtying.latest();
    let load = at.outlook.cautious.at_rate(latest);
    latest < at.outlook.bandwidth * SATURATED && at.outlook.bearable(&load).is_some()
}

/// Whether the latest reading was taken under the throttle that was decided.
fn is_in_force(at: &Situation<'_>) -> bool {
    at.estimator.dirtying.latest_run_share() <= at.throttles.hardest().run_share() + 0.02
}

#[cfg(test)]
#[path = "steered_tests.rs"]
mod tests;
