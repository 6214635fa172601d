//! One migration's decisions, from its first sample to its last.

use std::time::Duration;

use crate::decision::{Decision, GiveUpReason, VcpuThrottles};
use crate::duty::DutyCycle;
use crate::estimate::{Estimates, NEVER};
use crate::limits::{Limits, OnLimit, Policy};
use crate::policy::SteppedParameters;
use crate::sample::Sample;
use crate::units::{ByteRate, Pages, Throttle};
use crate::verdict::{Verdict, VerdictState};

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
    limits: Limits,
    stepped: SteppedParameters,
    now: Duration,
    estimates: Estimates,
    throttles: VcpuThrottles,
    reason: String,
    verdict: Verdict,
}

impl Controller {
    /// A controller at the moment at which a migration begins.
    #[must_use]
    pub fn new(policy: Policy, limits: Limits, guest: GuestShape) -> Self {
        let _ = guest;
        Self {
            policy,
            limits,
            stepped: SteppedParameters::default(),
            now: Duration::ZERO,
            estimates: Estimates { expected_downtime: NEVER, ..Estimates::default() },
            throttles: VcpuThrottles::Released,
            reason: "nothing has been measured yet".to_owned(),
            verdict: Verdict {
                state: VerdictState::Measuring,
                text: "nothing has been measured yet".to_owned(),
                needed_throttle: Throttle::NONE,
                unthrottled_dirty_rate: ByteRate::ZERO,
                bandwidth: ByteRate::ZERO,
            },
        }
    }

    /// The same with other parameters for [`Policy::Stepped`]; the other policies have none.
    #[must_use]
    pub fn with_stepped(mut self, parameters: SteppedParameters) -> Self {
        self.stepped = parameters;
        self
    }

    /// Changes the limits of a migration under way.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// What to do now that `sample` was measured. [`Decision::Throttle`] comes only when the throttle changes.
    pub fn step(&mut self, sample: Sample) -> Decision {
        self.now = self.now.saturating_add(sample.elapsed);
        let seen = ByteRate::of(sample.sent, sample.elapsed);
        let old = self.estimates.bandwidth;
        let bandwidth = if old == ByteRate::ZERO {
            seen
        } else {
            ByteRate::new(old.bytes_per_second() * 0.8 + seen.bytes_per_second() * 0.2)
        };
        self.estimates.bandwidth = bandwidth;
        if let Some(harvest) = &sample.harvest {
            self.estimates.dirty_rate = ByteRate::of(harvest.dirtied.bytes(), harvest.elapsed);
            self.estimates.unthrottled_dirty_rate =
                ByteRate::of(harvest.dirtied.bytes(), harvest.guest_ran);
            self.estimates.working_set = self.estimates.working_set.max(harvest.window.distinct);
        }
        self.estimates.expected_downtime = sample
            .remaining
            .bytes()
            .time_at(bandwidth)
            .unwrap_or(NEVER)
            .saturating_add(sample.fixed_downtime);
        self.verdict.bandwidth = bandwidth;
        self.verdict.unthrottled_dirty_rate = self.estimates.unthrottled_dirty_rate;
        if let Some(limit) = self.limits.time_limit.filter(|limit| self.now >= *limit) {
            return match self.limits.on_limit {
                OnLimit::Abort => Decision::GiveUp(GiveUpReason::TimeLimit { limit }),
                OnLimit::Switchover => Decision::SwitchOver,
            };
        }
        if sample.harvest.is_some() && self.estimates.expected_downtime <= self.limits.max_downtime
        {
            return Decision::SwitchOver;
        }
        let wanted = if self.policy != Policy::Off
            && sample.pass > 1
            && self.estimates.unthrottled_dirty_rate > bandwidth
        {
            match DutyCycle::bounded(self.limits.max_throttle, self.limits.max_stall) {
                Some(duty) => VcpuThrottles::Uniform(duty),
                None => VcpuThrottles::Released,
            }
        } else {
            VcpuThrottles::Released
        };
        if wanted == self.throttles {
            Decision::KeepOn
        } else {
            self.throttles = wanted.clone();
            Decision::Throttle(wanted)
        }
    }

    /// Asked once the guest was stopped and the exact last sync was done: whether what remains still fits into the
    /// downtime. Otherwise the guest should be resumed and the migration go on.
    pub fn accepts_switchover(&mut self, exact_remaining: Pages, fixed_downtime: Duration) -> bool {
        exact_remaining
            .bytes()
            .time_at(self.estimates.bandwidth)
            .is_some_and(|pages| pages + fixed_downtime <= self.limits.max_downtime)
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

    /// Why the throttle is as it is, as one sentence with numbers.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The numbers behind all this.
    #[must_use]
    pub fn estimates(&self) -> Estimates {
        self.estimates
    }
}
