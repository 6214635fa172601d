//! One migration's decisions, from its first sample to its last.

use std::time::Duration;

use crate::assess::{self, Evidence};
use crate::decision::{Decision, GiveUpReason, VcpuThrottles};
use crate::estimate::{Estimates, Estimator, time_for, whole_pages};
use crate::limits::{Limits, OnLimit, Policy, Sampling};
use crate::outlook::Outlook;
use crate::policy::{Change, Rule, Situation, Steered, Stepped, SteppedParameters};
use crate::sample::Sample;
use crate::switchover::Switchover;
use crate::units::{Bytes, Pages, Throttle};
use crate::verdict::Verdict;

/// What a controller must know of the guest beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestShape {
    /// All its memory.
    pub memory: Pages,
    /// Its vCPUs.
    pub vcpus: usize,
}

/// Decides, sample by sample, what one migration does.
#[derive(Clone, Debug)]
pub struct Controller {
    policy: Policy,
    sampling: Sampling,
    limits: Limits,
    guest: GuestShape,
    now: Duration,
    estimator: Estimator,
    rule: Rule,
    switchover: Switchover,
    /// The time limit has passed and asks for a switchover whatever it costs.
    forced: bool,
    throttles: VcpuThrottles,
    reason: String,
    verdict: Verdict,
}

impl Controller {
    /// A controller at the moment at which a migration begins.
    #[must_use]
    pub fn new(policy: Policy, limits: Limits, guest: GuestShape) -> Self {
        Self::with_rule(policy, policy.sampling(), Rule::new(policy), limits, guest)
    }

    /// A controller beside a QEMU that migrates a guest: it decides what QEMU's throttle should be.
    ///
    /// QEMU reads the dirty log once a pass and moves its throttle seldom, carries each out with a run slice of 10 ms, and
    /// switches over when it thinks fit: [`Decision::SwitchOver`] comes only from the time limit. [`Limits::max_stall`]
    /// is not kept, [`Limits::max_throttle`] is.
    #[must_use]
    pub fn steering(limits: Limits, guest: GuestShape) -> Self {
        let rule = Rule::Steered(Steered::default());
        Self::with_rule(Policy::Adaptive, Sampling::PassEnd, rule, limits, guest)
    }

    fn with_rule(
        policy: Policy,
        sampling: Sampling,
        rule: Rule,
        limits: Limits,
        guest: GuestShape,
    ) -> Self {
        Self {
            policy,
            sampling,
            limits,
            guest,
            now: Duration::ZERO,
            estimator: Estimator::new(sampling, guest.vcpus),
            rule,
            switchover: Switchover::default(),
            forced: false,
            throttles: VcpuThrottles::Released,
            reason: "nobody is held back".to_owned(),
            verdict: assess::nothing_yet(),
        }
    }

    /// The same with other parameters for [`Policy::Stepped`]; the other policies have none.
    #[must_use]
    pub fn with_stepped(mut self, parameters: SteppedParameters) -> Self {
        if matches!(self.rule, Rule::Stepped(_)) {
            self.rule = Rule::Stepped(Stepped::new(parameters));
        }
        self
    }

    /// The same for a migration in which pages that are sent again may go as what has changed in them: nobody is held
    /// back before it was seen what that takes.
    #[must_use]
    pub fn with_deltas(mut self) -> Self {
        self.estimator.bandwidth.expect_deltas();
        self
    }

    /// Changes the limits of a migration under way. A throttle in force that exceeds them changes with the next step.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What to do now that `sample` was measured. [`Decision::Throttle`] comes only when the throttle changes.
    pub fn step(&mut self, sample: Sample) -> Decision {
        self.now = self.now.saturating_add(sample.elapsed);
        self.estimator.observe(&sample, &self.throttles);
        let outlook = Outlook::new(&self.estimator, &self.limits, self.guest, self.now);
        // A switchover comes before any change of the throttle: should it be abandoned, the throttle is still what the
        // machine was told last.
        let decision = if let Some(ending) = self.time_limit_passed() {
            ending
        } else if self.is_time_to_switch_over(&sample, &outlook) {
            Decision::SwitchOver
        } else if let Some(Change { throttles, reason }) = self.change(&sample, outlook) {
            self.throttles = throttles.clone();
            self.reason = reason;
            Decision::Throttle(throttles)
        } else {
            Decision::KeepOn
        };
        self.judge(&outlook);
        decision
    }

    fn time_limit_passed(&mut self) -> Option<Decision> {
        let limit = self.limits.time_limit.filter(|limit| self.now >= *limit)?;
        self.forced = self.limits.on_limit == OnLimit::Switchover;
        Some(match self.limits.on_limit {
            OnLimit::Abort => Decision::GiveUp(GiveUpReason::TimeLimit { limit }),
            OnLimit::Switchover => Decision::SwitchOver,
        })
    }

    fn change(&mut self, sample: &Sample, outlook: Outlook) -> Option<Change> {
        let situation = Situation {
            now: self.now,
            sample,
            outlook,
            estimator: &self.estimator,
            limits: &self.limits,
            guest: self.guest,
            throttles: &self.throttles,
        };
        match &mut self.rule {
            Rule::Off => None,
            Rule::Classic(classic) => classic.observe(sample),
            Rule::Stepped(stepped) => stepped.observe(sample),
            Rule::Adaptive(adaptive) => adaptive.decide(&situation),
            Rule::Steered(steered) => steered.decide(&situation),
        }
    }

    fn judge(&mut self, outlook: &Outlook) {
        let (to_go, futile, hides) = match &self.rule {
            Rule::Adaptive(adaptive) => (adaptive.to_go(), adaptive.was_futile(self.now), false),
            Rule::Steered(steered) => (steered.to_go(), false, steered.hides_its_rate()),
            _ => (None, false, false),
        };
        self.verdict = assess::assess(&Evidence {
            policy: self.policy,
            sampling: self.sampling,
            limits: &self.limits,
            hardest: self.rule.hardest(&self.limits),
            estimator: &self.estimator,
            outlook,
            throttles: &self.throttles,
            to_go,
            futile,
            hides,
        });
    }

    fn is_time_to_switch_over(&mut self, sample: &Sample, outlook: &Outlook) -> bool {
        let Some(harvest) = &sample.harvest else { return false };
        if matches!(self.rule, Rule::Steered(_)) {
            return false;
        }
        if self.rule.switches_over_as_qemu() {
            return harvest.ended_pass && sample.remaining <= self.pass_ends_at();
        }
        let throttled = self.throttles != VcpuThrottles::Released;
        self.switchover.is_now(outlook, self.now, throttled)
    }

    /// What may remain of a pass when it ends and the dirty log is read.
    ///
    /// Zero for most policies: a pass ends when all of it was sent. QEMU ends a pass once what is left of it would fit
    /// into the downtime, and the policies that imitate QEMU do as it does.
    #[must_use]
    pub fn pass_ends_at(&self) -> Pages {
        if !self.rule.switches_over_as_qemu() {
            return Pages(0);
        }
        let bandwidth =
            self.estimator.bandwidth.bytes_per_second() / crate::units::PAGE_SIZE as f64;
        whole_pages(bandwidth * self.limits.max_downtime.as_secs_f64())
    }

    /// Asked once the guest was stopped and the exact last sync was done: whether what remains still fits into the
    /// downtime. Otherwise the guest should be resumed and the migration go on.
    ///
    /// The policies that imitate QEMU always accept, as QEMU does, and so does a switchover that the time limit forced.
    ///
    /// What was cheap before need not be now. So `count` is asked, where it matters, what the pages take that remain; it
    /// may look at each, for the guest stands still. `None` where that cannot be told by looking.
    pub fn accepts_switchover(
        &mut self,
        exact_remaining: Pages,
        fixed_downtime: Duration,
        count: impl FnOnce() -> Option<Bytes>,
    ) -> bool {
        self.estimator.remaining = exact_remaining;
        self.estimator.fixed_downtime = fixed_downtime;
        self.estimator.counted = None;
        if self.forced || self.rule.switches_over_as_qemu() {
            return true;
        }
        let most = self.limits.max_downtime;
        let fits = |amount, rate| time_for(amount, rate).saturating_add(fixed_downtime) <= most;
        let bandwidth = &self.estimator.bandwidth;
        let pages = exact_remaining.0 as f64;
        let (by_page, by_byte) =
            (bandwidth.cautious_pages_per_second(), bandwidth.cautious_bytes_per_second());
        let mut accepted = fits(pages, by_page);
        if accepted
            && !fits(exact_remaining.bytes().0 as f64, by_byte)
            && let Some(bytes) = count()
        {
            self.estimator.count(bytes);
            accepted = fits(bytes.0 as f64, by_byte);
        }
        if !accepted {
            self.switchover.was_abandoned();
        }
        accepted
    }

    /// The downtime that the switchover which was asked for last is expected to cost.
    #[must_use]
    pub fn expected_downtime(&self) -> Duration {
        self.estimator.downtime_now()
    }

    /// What is believed about this migration.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The throttle as it was decided last.
    #[must_use]
    pub fn throttles(&self) -> &VcpuThrottles {
        &self.throttles
    }

    /// The hardest throttle that the policy can come to within the limits.
    #[must_use]
    pub fn hardest_throttle(&self) -> Throttle {
        self.rule.hardest(&self.limits)
    }

    /// Why the throttle is as it is, as one sentence with numbers.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The numbers behind all this.
    #[must_use]
    pub fn estimates(&self) -> Estimates {
        self.estimator.public()
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
