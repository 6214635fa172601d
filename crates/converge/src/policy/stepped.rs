//! QEMU's rule since 2.5: throttle a little, and more after every two bad periods.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decision::VcpuThrottles;
use crate::duty::DutyCycle;
use crate::policy::{Change, Periods};
use crate::sample::Sample;
use crate::units::Throttle;

/// The parameters of [`crate::Policy::Stepped`], by default QEMU's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SteppedParameters {
    /// The first throttle (`cpu-throttle-initial`); 20 %.
    pub initial: Throttle,
    /// What each further step adds (`cpu-throttle-increment`); 10 points.
    pub increment: Throttle,
    /// The last step (`max-cpu-throttle`); 99 %.
    pub max: Throttle,
    /// A period is bad when more than this share of the bytes sent was dirtied anew (`throttle-trigger-threshold`); 0.5.
    pub trigger_threshold: f64,
}

impl Default for SteppedParameters {
    fn default() -> Self {
        Self {
            initial: Throttle::new(0.2),
            increment: Throttle::new(0.1),
            max: Throttle::MAX,
            trigger_threshold: 0.5,
        }
    }
}

/// Only ever upwards: what was thought of a guest once holds until the migration ends.
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    parameters: SteppedParameters,
    periods: Periods,
    bad: u32,
    throttle: Throttle,
}

impl Stepped {
    pub(crate) fn new(parameters: SteppedParameters) -> Self {
        Self { parameters, periods: Periods::default(), bad: 0, throttle: Throttle::NONE }
    }

    pub(crate) fn parameters(&self) -> &SteppedParameters {
        &self.parameters
    }

    pub(crate) fn observe(&mut self, sample: &Sample) -> Option<Change> {
        let period = self.periods.account(sample)?;
        let allowed = period.sent.0 as f64 * self.parameters.trigger_threshold;
        if period.newly_dirty.0 as f64 <= allowed {
            return None;
        }
        // A good period in between does not reset the count: QEMU's weakness, and part of what is compared.
        self.bad += 1;
        if self.bad < 2 {
            return None;
        }
        self.bad = 0;
        let share = if self.throttle.is_none() {
            self.parameters.initial.share()
        } else {
            self.throttle.share() + self.parameters.increment.share()
        };
        let throttle = Throttle::new(share).min(self.parameters.max);
        if throttle == self.throttle {
            return None;
        }
        self.throttle = throttle;
        let duty = DutyCycle::fixed_run(throttle, RUN)?;
        Some(Change {
            throttles: VcpuThrottles::Uniform(duty),
            reason: format!(
                "in the second bad period since the last step the guest dirtied {} anew while {} were sent: stepped up to {throttle}",
                period.newly_dirty, period.sent
            ),
        })
    }
}

/// The slice that a vCPU runs before it sleeps, whatever the throttle.
const RUN: Duration = Duration::from_millis(10);

#[cfg(test)]
#[path = "stepped_tests.rs"]
mod tests;
