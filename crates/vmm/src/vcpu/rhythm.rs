//! When a throttled vCPU runs and when it stalls: arithmetic on moments, without a clock.

use std::time::Duration;

use landfall_converge::{DutyCycle, LEAST_RUN};

/// A moment: time since an origin that never changes.
pub(super) type Moment = Duration;

/// One vCPU's duty cycle laid out in time.
///
/// Stalls end at absolute moments, one period apart, so that waking late does not add up: a stall that ended late
/// makes the next one shorter. A run slice that ended late (the kick takes its time) makes the following slices
/// shorter. No stall is ever longer than the duty cycle's, and every stall is followed by a run slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rhythm {
    duty: DutyCycle,
    run_until: Moment,
    stall_until: Moment,
    overrun: Duration,
}

impl Rhythm {
    /// Begins at `now`; the first stall is due after `offset` of running.
    pub(super) fn begin(duty: DutyCycle, now: Moment, offset: Duration) -> Self {
        let run_until = now + offset;
        Self { duty, run_until, stall_until: run_until + duty.stall(), overrun: Duration::ZERO }
    }

    /// The same moment of the same period under another duty cycle. Neither gives free run time nor lengthens a stall
    /// under way, however often it is called.
    pub(super) fn change(&mut self, duty: DutyCycle) {
        self.run_until =
            self.run_until.min(self.run_until.saturating_sub(self.duty.run()) + duty.run());
        self.stall_until = self.stall_until.min(self.run_until + duty.stall());
        self.overrun = self.overrun.min(duty.run());
        self.duty = duty;
    }

    /// What it carries out.
    pub(super) fn duty(&self) -> DutyCycle {
        self.duty
    }

    /// When the run slice ends.
    pub(super) fn run_until(&self) -> Moment {
        self.run_until
    }

    /// When the stall under way, or the next one, ends.
    pub(super) fn stall_until(&self) -> Moment {
        self.stall_until
    }

    /// The run slice has ended at `now`: until when to stall.
    pub(super) fn stall(&mut self, now: Moment) -> Moment {
        self.overrun = (self.overrun + now.saturating_sub(self.run_until)).min(self.duty.period());
        if self.stall_until <= now {
            self.stall_until = now + self.duty.stall();
            self.overrun = Duration::ZERO;
        }
        self.stall_until = self.stall_until.min(now + self.duty.stall());
        self.stall_until
    }

    /// The stall has ended at `now`: until when to run.
    pub(super) fn run(&mut self, now: Moment) -> Moment {
        // A slice keeps a quarter at least, and what it takes to get anywhere: a vCPU that never runs would be one endless
        // stall.
        let keep = LEAST_RUN.max(self.duty.run().mul_f64(0.25));
        let repaid = self.overrun.min(self.duty.run().saturating_sub(keep));
        self.overrun -= repaid;
        self.run_until = now + self.duty.run() - repaid;
        let on_time = self.stall_until + self.duty.period();
        self.stall_until =
            if on_time > self.run_until { on_time } else { self.run_until + self.duty.stall() };
        self.run_until
    }
}

#[cfg(test)]
#[path = "rhythm_tests.rs"]
mod tests;
