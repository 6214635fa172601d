//! What a migration was, and what it cost.

use std::time::Duration;

use landfall_converge::{ByteRate, Bytes, Throttle, Verdict};

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest runs at the destination.
    Completed,
    /// The time limit passed; the guest runs at the source.
    GaveUp,
    /// Called off, by whomever; the guest runs at the source.
    Cancelled,
    /// It failed; the guest runs at the source.
    Failed,
    /// It is not known where the guest runs, if at all.
    InDoubt,
    /// It goes on without us.
    Detached,
}

/// One point of the time line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Since the migration began.
    pub at: Duration,
    /// The pass under way.
    pub pass: u32,
    /// What remains to be sent.
    pub remaining: Bytes,
    /// As QEMU tells it, for the last period that it closed.
    pub dirty_rate: ByteRate,
    /// What left since the point before.
    pub bandwidth: ByteRate,
    /// In force.
    pub throttle: Throttle,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Since the migration began.
    pub at: Duration,
    /// Where the throttle should go.
    pub throttle: Throttle,
    /// Why.
    pub reason: String,
}

/// What is to be told of a migration that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it did not complete, in QEMU's words where it has any.
    pub reason: Option<String>,
    /// How long it took.
    pub total: Duration,
    /// As QEMU measured it.
    pub downtime: Duration,
    /// As QEMU was told.
    pub downtime_limit: Duration,
    /// Times that QEMU read the dirty log.
    pub passes: u32,
    /// The guest's memory.
    pub memory: Bytes,
    /// What left for the destination.
    pub sent: Bytes,
    /// Pages sent as they are.
    pub pages: u64,
    /// Zero pages sent.
    pub zero_pages: u64,
    /// The hardest throttle that was in force.
    pub max_throttle: Throttle,
    /// Guest time stolen, by the throttle that was in force: the same for every vCPU.
    pub stolen: Duration,
    /// What was believed last.
    pub verdict: Option<Verdict>,
    /// Bytes dirtied a second of guest run time, at the least.
    pub dirty_rate: ByteRate,
    /// Bytes that left a second, over all.
    pub bandwidth: ByteRate,
    /// Rates and throttle over time.
    pub timeline: Vec<Point>,
    /// What was decided when, and why.
    pub changes: Vec<Change>,
}

impl Bill {
    /// The longest stall of a vCPU: QEMU lets it run for 10 ms, and holds it for what that leaves of the throttle.
    #[must_use]
    pub fn max_stall(&self) -> Duration {
        let share = self.max_throttle.share();
        Duration::from_millis(10).mul_f64(share / (1.0 - share))
    }
}
