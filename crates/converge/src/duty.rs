//! How a throttle is carried out in time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::Throttle;

/// The shortest run slice of a bounded stall. Entering the guest and leaving it takes its time; in a shorter slice the
/// guest gets nowhere, and its next sign of life is several stalls away.
pub const LEAST_RUN: Duration = Duration::from_micros(250);

/// One vCPU's rhythm: run for `run`, be held back for `stall`, and again.
///
/// The same [`Throttle`] can be carried out in many ways. QEMU fixes the run slice and lets the stall grow (990 ms at
/// 99 %); Landfall bounds the stall and lets the run slice shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyCycle {
    run: Duration,
    stall: Duration,
    staggered: bool,
}

impl DutyCycle {
    /// A throttle whose stalls never exceed `max_stall`; vCPUs are staggered. `None` when nothing is held back.
    ///
    /// Up to one half the period is twice `max_stall`, so that a light throttle has stalls that are shorter still. No run
    /// slice is shorter than [`LEAST_RUN`]: with stalls of 10 ms at most, no throttle is harder than 97.6 %.
    #[must_use]
    pub fn bounded(throttle: Throttle, max_stall: Duration) -> Option<Self> {
        if throttle.is_none() || max_stall.is_zero() {
            return None;
        }
        let share = throttle.share();
        let (run, stall) = if share <= 0.5 {
            let period = max_stall * 2;
            (period.mul_f64(1.0 - share), period.mul_f64(share))
        } else {
            (max_stall.mul_f64((1.0 - share) / share).max(LEAST_RUN), max_stall)
        };
        Some(Self { run, stall, staggered: true })
    }

    /// A throttle with a fixed run slice and a stall as long as that needs, every vCPU at the same time: QEMU's way.
    #[must_use]
    pub fn fixed_run(throttle: Throttle, run: Duration) -> Option<Self> {
        if throttle.is_none() {
            return None;
        }
        let stall = run.mul_f64(throttle.share() / throttle.run_share());
        Some(Self { run, stall, staggered: false })
    }

    /// Fixed run and stall, every vCPU at the same time: the rule of 2013.
    #[must_use]
    pub fn fixed(run: Duration, stall: Duration) -> Self {
        Self { run, stall, staggered: false }
    }

    /// How long a vCPU runs in each period.
    #[must_use]
    pub fn run(&self) -> Duration {
        self.run
    }

    /// How long a vCPU is held back in each period.
    #[must_use]
    pub fn stall(&self) -> Duration {
        self.stall
    }

    /// Run and stall together.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.run + self.stall
    }

    /// Whether each vCPU stalls at a time of its own, rather than all at once.
    #[must_use]
    pub fn staggered(&self) -> bool {
        self.staggered
    }

    /// The share of time held back.
    #[must_use]
    pub fn throttle(&self) -> Throttle {
        Throttle::new(self.stall.as_secs_f64() / self.period().as_secs_f64())
    }
}

#[cfg(test)]
#[path = "duty_tests.rs"]
mod tests;
