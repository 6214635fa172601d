//! Landfall's own rule: predict, leave alone whoever arrives unaided, and otherwise go at once to the throttle that
//! costs least, for as long as it is needed.

use std::time::Duration;

use crate::controller::GuestShape;
use crate::decision::VcpuThrottles;
use crate::estimate::{Estimator, page_rate};
use crate::limits::Limits;
use crate::outlook::Outlook;
use crate::policy::Change;
use crate::policy::bursts::{Peak, Spells};
use crate::policy::plan::{self, Plan, TIME_WEIGHT};
use crate::sample::Sample;

/// Bad news must come in so many harvests in a row before a guest is held back: a young estimate is often wrong.
const EVIDENCE_TO_THROTTLE: u32 = 3;
/// A guest that is known to come in bursts needs no more than one: each further costs what was gained in its calm.
const EVIDENCE_OF_A_BURST: u32 = 1;
/// Good news must come in so many before it is let go.
const EVIDENCE_TO_RELEASE: u32 = 2;
/// What remains must come down within so much time, or what is being done does not help.
const HELPS_WITHIN: Duration = Duration::from_secs(2);
/// A guest whose pattern may be kind gets so long to show it.
const TRIAL: Duration = Duration::from_secs(1);
/// A throttle is changed for another one at most so often, unless the one in force fails.
const SETTLING: Duration = Duration::from_millis(200);
/// How long a guest is left alone once the hardest throttle did not help, doubled each time.
const FUTILE_FOR: Duration = Duration::from_secs(5);

/// What [`Adaptive`] looks at.
#[derive(Debug)]
pub(crate) struct Situation<'a> {
    pub(crate) now: Duration,
    pub(crate) sample: &'a Sample,
    pub(crate) outlook: Outlook,
    pub(crate) estimator: &'a Estimator,
    pub(crate) limits: &'a Limits,
    pub(crate) guest: GuestShape,
    pub(crate) throttles: &'a VcpuThrottles,
}

/// Throttle up, throttle down, let go.
#[derive(Clone, Debug)]
pub(crate) struct Adaptive {
    /// Harvests in a row that said that it does not arrive unaided.
    alarms: u32,
    /// Harvests in a row in which what remains did not fall by itself.
    stuck: u32,
    /// Harvests in a row that said that it arrives unaided now.
    calm: u32,
    changed_at: Duration,
    spells: Spells,
    peak: Peak,
    /// The least that remained since the throttle was changed, and when.
    lowest: f64,
    lowest_at: Duration,
    futile_until: Duration,
    futile: u32,
    /// What is left to do under the throttle in force, in seconds.
    to_go: Option<f64>,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            alarms: 0,
            stuck: 0,
            calm: 0,
            changed_at: Duration::ZERO,
            spells: Spells::default(),
            peak: Peak::default(),
            lowest: f64::INFINITY,
            lowest_at: Duration::ZERO,
            futile_until: Duration::ZERO,
            futile: 0,
            to_go: None,
        }
    }
}

impl Adaptive {
    /// The change that the situation asks for, if any.
    pub(crate) fn decide(&mut self, at: &Situation<'_>) -> Option<Change> {
        let throttled = *at.throttles != VcpuThrottles::Released;
        if at.estimator.bandwidth.is_stalled() {
            // Holding the guest back gains nothing while nothing leaves.
            return throttled
                .then(|| self.release(at, "nothing leaves for the destination".to_owned()));
        }
        if at.sample.harvest.is_none()
            || !at.estimator.bandwidth.is_known()
            || at.estimator.harvests < EVIDENCE_TO_THROTTLE
        {
            return None;
        }
        if at.outlook.remaining < self.lowest * 0.99 {
            self.lowest = at.outlook.remaining;
            self.lowest_at = at.now;
        }
        self.spells.observe(at);
        if throttled { self.reconsider(at) } else { self.consider(at) }
    }

    /// Seconds to go under the throttle in force.
    pub(crate) fn to_go(&self) -> Option<f64> {
        self.to_go
    }

    /// Whether the hardest throttle was tried and did not help.
    pub(crate) fn was_futile(&self, now: Duration) -> bool {
        now < self.futile_until
    }

    /// Unthrottled: is it time to hold the guest back?
    fn consider(&mut self, at: &Situation<'_>) -> Option<Change> {
        let outlook = &at.outlook;
        // The latest reading alone must not deny it: what it says may be the end of a burst.
        let latest = outlook.cautious.at_rate(at.estimator.dirtying.latest());
        let unaided = outlook.unaided().or_else(|| outlook.bearable(&latest));
        if unaided.is_some_and(|time| !self.breaks_its_promise(at, time)) {
            self.alarms = 0;
            self.stuck = 0;
            return None;
        }
        let silent = !at.estimator.bandwidth.silent().is_zero();
        let hopeless = outlook.needed_at_best() > at.limits.hardest_throttle().share();
        if silent || hopeless || self.was_futile(at.now) || at.limits.hardest_throttle().is_none() {
            return None;
        }
        let may_converge =
            outlook.unaided_at_best().is_some_and(|time| !self.breaks_its_promise(at, time));
        self.alarms = if may_converge { 0 } else { self.alarms + 1 };
        self.stuck = if self.falls_by_itself(at) { 0 } else { self.stuck + 1 };
        // While pages wait that the guest does not touch, sending them is free, and what is saved of the working set
        // meanwhile would be lost again as soon as the throttle ends.
        let hot = at.estimator.working_set.pages();
        if at.sample.pass <= 1 && outlook.remaining > hot * 1.1 {
            return None;
        }
        let evidence = if self.spells.last_calm(at.now).is_some() {
            EVIDENCE_OF_A_BURST
        } else {
            EVIDENCE_TO_THROTTLE
        };
        let at_the_floor = self.alarms >= evidence
            && outlook.hopeful.working_set.is_some()
            && outlook.remaining
                <= outlook.hopeful.floor(1.0, outlook.bandwidth).max(outlook.target) * 1.15;
        let stuck = self.stuck >= EVIDENCE_TO_THROTTLE && !may_converge;
        if !at_the_floor && !stuck {
            return None;
        }
        if !at.estimator.bandwidth.knows_cost() {
            return None;
        }
        self.peak = Peak::of(at);
        let plan = plan::cheapest(outlook, at.limits, &self.peak.by_vcpu)?;
        Some(self.hold(at, &plan))
    }

    /// Whether what was to arrive by itself within `time` has long not come any nearer.
    fn breaks_its_promise(&self, at: &Situation<'_>, time: f64) -> bool {
        let waited = at.now.saturating_sub(self.lowest_at).as_secs_f64();
        at.sample.pass > 1 && waited > time.min(5.0) + TRIAL.as_secs_f64()
    }

    /// Whether what remains falls unaided at a rate worth waiting for.
    ///
    /// A second of waiting brings it down by what leaves less what becomes dirty, at the price of a second; the same
    /// fall under the hardest throttle is quicker, but stolen. So waiting is worth it while the fall is more than
    /// [`TIME_WEIGHT`] of the throttled one.
    fn falls_by_itself(&self, at: &Situation<'_>) -> bool {
        let outlook = &at.outlook;
        let natural = outlook.bandwidth - at.estimator.dirtying.newly();
        let throttled =
            outlook.bandwidth - outlook.cautious.rate * at.limits.hardest_throttle().run_share();
        natural > TIME_WEIGHT * throttled.max(0.0)
    }

    /// Throttled: harder, softer, or no more?
    fn reconsider(&mut self, at: &Situation<'_>) -> Option<Change> {
        let most = at.estimator.dirtying.unthrottled_at_most() * 1.1;
        let unaided = at.outlook.bearable(&at.outlook.cautious.at_rate(most));
        self.calm = if unaided.is_some() { self.calm + 1 } else { 0 };
        if unaided.is_some_and(|time| self.may_let_go(at, time)) {
            let rate = page_rate(at.estimator.dirtying.unthrottled());
            return Some(self.release(
                at,
                format!("the guest dirties only {rate} now, which the link carries"),
            ));
        }
        // A throttle that gets softer with each quiet moment is too soft when the guest comes back.
        self.peak.observe(at, self.spells.last_calm(at.now));
        let (outlook, rates) = (&at.outlook.no_slower_than(self.peak.rate), &self.peak.by_vcpu);
        let present = plan::in_force(outlook, rates, at.throttles, at.guest.vcpus);
        self.to_go = present.as_ref().map(|plan| plan.time);
        let at_most =
            at.throttles.hardest().share() >= at.limits.hardest_throttle().share() - 0.005;
        let without_help = at.now.saturating_sub(self.lowest_at.max(self.changed_at));
        if without_help > HELPS_WITHIN && outlook.remaining > outlook.target {
            if !at_most {
                let hardest = plan::hardest(outlook, at.limits, rates);
                return Some(self.hold(at, &hardest));
            }
            let futile_for = FUTILE_FOR * 2_u32.pow(self.futile.min(8));
            self.futile_until = at.now.saturating_add(futile_for);
            self.futile += 1;
            let hardest = at.limits.hardest_throttle();
            return Some(self.release(
                at,
                format!("the hardest throttle allowed, {hardest}, did not bring down what remains"),
            ));
        }
        let above_limit =
            at.throttles.hardest().share() > at.limits.hardest_throttle().share() + 1e-9;
        let Some(better) = plan::cheapest(outlook, at.limits, rates) else {
            let hardest = plan::hardest(outlook, at.limits, rates);
            return above_limit.then(|| self.hold(at, &hardest));
        };
        let settled = at.now.saturating_sub(self.changed_at) >= SETTLING;
        let worth_it =
            present.as_ref().is_none_or(|present| settled && better.cost() < present.cost() * 0.75);
        (above_limit || worth_it)
            .then(|| self.hold(at, &better))
            .filter(|change| change.throttles != *at.throttles)
    }

    /// Whether a guest that is calm, and would arrive in `time` if it stayed so, can be trusted to.
    fn may_let_go(&self, at: &Situation<'_>, time: f64) -> bool {
        if self.calm < EVIDENCE_TO_RELEASE {
            return false;
        }
        // One that came back from its last calm comes back from this one. To let it go before it has arrived is to lose
        // what was gained; unless this calm is already longer than the last.
        self.spells.last_calm(at.now).is_none_or(|calm| {
            let so_far = self.spells.calm_so_far(at.now);
            so_far.as_secs_f64() + time < calm.as_secs_f64() * 0.8 || so_far / 3 > calm / 2
        })
    }

    fn hold(&mut self, at: &Situation<'_>, plan: &Plan) -> Change {
        self.began(at);
        self.to_go = plan.time.is_finite().then_some(plan.time);
        let (rate, carried) = (page_rate(self.peak.rate), page_rate(at.outlook.bandwidth));
        let time = self.to_go.map_or_else(
            || "nothing softer brought down what remains".to_owned(),
            |time| format!("it should take {time:.1} s"),
        );
        Change {
            throttles: plan.carried_out(at.limits.max_stall),
            reason: format!(
                "the guest dirties {rate} and the link carries {carried}: held at {}, {time}",
                plan.hardest()
            ),
        }
    }

    fn release(&mut self, at: &Situation<'_>, reason: String) -> Change {
        self.began(at);
        self.to_go = None;
        Change { throttles: VcpuThrottles::Released, reason: format!("{reason}: let go") }
    }

    fn began(&mut self, at: &Situation<'_>) {
        self.alarms = 0;
        self.stuck = 0;
        self.calm = 0;
        self.changed_at = at.now;
        self.lowest = at.outlook.remaining;
        self.lowest_at = at.now;
    }
}

#[cfg(test)]
#[path = "adaptive_tests.rs"]
mod tests;
