//! QEMU 1.6's rule of 2013 (commit 7ca1dfad95): nothing, nothing, and then three quarters of the guest's time.

use std::time::Duration;

use crate::decision::VcpuThrottles;
use crate::duty::DutyCycle;
use crate::policy::{Change, Periods};
use crate::sample::Sample;

/// Once on it stays on; there is no second step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Classic {
    periods: Periods,
    bad: u32,
    on: bool,
}

/// Every vCPU asleep for 30 ms at a time, at most once every 40 ms.
pub(crate) fn duty() -> DutyCycle {
    DutyCycle::fixed(Duration::from_millis(10), Duration::from_millis(30))
}

impl Classic {
    pub(crate) fn observe(&mut self, sample: &Sample) -> Option<Change> {
        let period = self.periods.account(sample)?;
        if period.newly_dirty.0 == 0 || period.newly_dirty.0 <= period.sent.0 / 2 {
            return None;
        }
        // The count was compared before it was raised, so that the sixth bad period acts, where the comment beside
        // it spoke of four. A good period does not reset it.
        self.bad += 1;
        if self.bad <= 5 {
            return None;
        }
        self.bad = 0;
        if std::mem::replace(&mut self.on, true) {
            return None;
        }
        Some(Change {
            throttles: VcpuThrottles::Uniform(duty()),
            reason: format!(
                "in the sixth bad period the guest dirtied {} anew while {} were sent: every vCPU sleeps 30 ms in 40",
                period.newly_dirty, period.sent
            ),
        })
    }
}

#[cfg(test)]
#[path = "classic_tests.rs"]
mod tests;
