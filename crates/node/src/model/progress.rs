//! How far a guest on its way has come.

use landfall_migrate::report::TimePoint;
use serde::{Deserialize, Serialize};

/// Where a guest on its way is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The destination is being reached.
    #[default]
    Connecting,
    /// Everything is being sent once.
    FirstPass,
    /// What was dirtied meanwhile is being sent again.
    Passes,
    /// The guest is stopped and the last of it is being sent.
    Switchover,
    /// The guest was given away.
    Committed,
}

impl Stage {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "reaching the target",
            Self::FirstPass => "first pass",
            Self::Passes => "further passes",
            Self::Switchover => "switching over",
            Self::Committed => "given away",
        }
    }
}

/// A guest on its way, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Where it is.
    pub stage: Stage,
    /// Since the guest began to move.
    pub elapsed_ms: f64,
    /// The pass under way, from 1.
    pub pass: u64,
    /// The guest's memory.
    pub memory_bytes: u64,
    /// What remains to be sent.
    pub remaining_bytes: u64,
    /// What has left.
    pub sent_bytes: u64,
    /// What the guest dirties a second now.
    pub dirty_rate_bytes_per_second: f64,
    /// What leaves a second now.
    pub bandwidth_bytes_per_second: f64,
    /// How hard the guest is held back now, 0 to 0.99.
    pub throttle: f64,
    /// `converging`, `needs_throttle`, `stalled` or `cannot_converge`; empty before it is known.
    pub verdict: String,
    /// The same in a sentence, with numbers.
    pub verdict_text: String,
}

impl Progress {
    /// How long the guest would stand still if it were stopped now and the rest sent, in milliseconds, as far as the rates tell;
    /// `None` before anything has left.
    #[must_use]
    pub fn downtime_now_ms(&self) -> Option<f64> {
        let bandwidth = self.bandwidth_bytes_per_second;
        (bandwidth > 0.0).then(|| self.remaining_bytes as f64 / bandwidth * 1e3)
    }
}

/// One point of a migration's time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Point {
    /// Since the guest began to move.
    pub at_ms: f64,
    /// The pass under way.
    pub pass: u32,
    /// What remains to be sent.
    pub remaining_bytes: u64,
    /// What the guest dirties a second.
    pub dirty_rate_bytes_per_second: f64,
    /// What leaves a second.
    pub bandwidth_bytes_per_second: f64,
    /// How hard the guest is held back, 0 to 0.99.
    pub throttle: f64,
}

impl From<&TimePoint> for Point {
    fn from(point: &TimePoint) -> Self {
        Self {
            at_ms: point.at_ms,
            pass: point.pass,
            remaining_bytes: point.remaining_bytes,
            dirty_rate_bytes_per_second: point.dirty_rate_bytes_per_second,
            bandwidth_bytes_per_second: point.bandwidth_bytes_per_second,
            throttle: point.throttle,
        }
    }
}

impl From<&Point> for TimePoint {
    fn from(point: &Point) -> Self {
        Self {
            at_ms: point.at_ms,
            pass: point.pass,
            remaining_bytes: point.remaining_bytes,
            dirty_rate_bytes_per_second: point.dirty_rate_bytes_per_second,
            bandwidth_bytes_per_second: point.bandwidth_bytes_per_second,
            throttle: point.throttle,
        }
    }
}

impl From<&Progress> for Point {
    fn from(progress: &Progress) -> Self {
        Self {
            at_ms: progress.elapsed_ms,
            pass: u32::try_from(progress.pass).unwrap_or(u32::MAX),
            remaining_bytes: progress.remaining_bytes,
            dirty_rate_bytes_per_second: progress.dirty_rate_bytes_per_second,
            bandwidth_bytes_per_second: progress.bandwidth_bytes_per_second,
            throttle: progress.throttle,
        }
    }
}
