//! The bill: what a migration did and what it cost.

use landfall_converge::{Policy, Verdict};
use serde::{Deserialize, Serialize};

use crate::machine::MachineKind;
use crate::progress::Phase;

/// How a migration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The guest runs at the destination.
    Completed,
    /// It could not arrive within the limits; the guest runs at the source.
    GaveUp,
    /// It was cancelled; the guest runs at the source.
    Cancelled,
    /// It failed; the guest runs at the source.
    Failed,
    /// The connection broke between giving the guest away and hearing that it runs. Both sides are paused or the
    /// destination runs; an operator must decide.
    InDoubt,
}

/// Pages sent, by encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCounts {
    /// All zeros: only the page number was sent.
    pub zero: u64,
    /// As they are.
    pub raw: u64,
    /// As the difference from the copy sent before.
    pub delta: u64,
    /// By a general compressor.
    pub compressed: u64,
}

/// Where the downtime went, each part in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DowntimeParts {
    /// Stopping the vCPUs.
    pub stop: f64,
    /// The exact last reading of the dirty log.
    pub last_sync: f64,
    /// Sending what it gave and what was left.
    pub last_pages: f64,
    /// Saving, sending and loading vCPU and device state.
    pub device_state: f64,
    /// The destination's *ready* and the source's giving away.
    pub commit: f64,
    /// Until the first vCPU runs at the destination and the source heard of it.
    pub resume: f64,
}

/// One point of the time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimePoint {
    /// Since the migration began.
    pub at_ms: f64,
    /// The pass under way.
    pub pass: u32,
    /// Pages still to send, in bytes.
    pub remaining_bytes: u64,
    /// Distinct bytes dirtied a second of wall time.
    pub dirty_rate_bytes_per_second: f64,
    /// Bytes that left a second since the point before.
    pub bandwidth_bytes_per_second: f64,
    /// The hardest throttle of any vCPU, 0 to 0.99.
    pub throttle: f64,
}

/// Something that happened, or was decided, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeLineEvent {
    /// Since the migration began.
    pub at_ms: f64,
    /// What it was.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What can happen on a time line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A phase began.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// A pass began.
    Pass {
        /// Its number, from 1.
        pass: u32,
    },
    /// The throttle was changed.
    Throttle {
        /// The hardest throttle of any vCPU from now on.
        throttle: f64,
        /// Why.
        reason: String,
    },
    /// The verdict became another one.
    Verdict {
        /// The new one.
        verdict: Verdict,
    },
    /// The guest was stopped for the switchover, but the exact sync did not fit: it went on.
    SwitchoverAbandoned {
        /// The downtime that it would have been.
        predicted_downtime_ms: f64,
    },
}

/// The report of one migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it did not complete; the last line says what to do.
    pub reason: Option<String>,
    /// What ran the guest.
    pub machine: MachineKind,
    /// Who decided.
    pub policy: Policy,
    /// Whether throttling was allowed.
    pub auto_converge: bool,
    /// Whether the memory itself was to be handed over, on the same host.
    #[serde(default)]
    pub hand_over: bool,
    /// From the request to the end.
    pub total_ms: f64,
    /// From the moment the last vCPU stopped at the source to the moment the first ran at the destination; 0 when the
    /// guest never left.
    pub downtime_ms: f64,
    /// What was predicted when the guest was stopped.
    pub predicted_downtime_ms: f64,
    /// What was allowed.
    pub downtime_limit_ms: f64,
    /// Where the downtime went.
    pub downtime_parts_ms: DowntimeParts,
    /// Passes begun, the last pages of the switchover not counted.
    pub passes: u32,
    /// Connections that pages went over in the end; 0 where that is not known.
    #[serde(default)]
    pub channels: u16,
    /// The guest's memory.
    pub memory_bytes: u64,
    /// Bytes that left for the destination.
    pub sent_bytes: u64,
    /// Pages sent, by encoding.
    pub pages: PageCounts,
    /// Bytes that left a second, over the whole pre-copy.
    pub bandwidth_bytes_per_second: f64,
    /// The guest's unthrottled dirty rate, as estimated last.
    pub dirty_rate_bytes_per_second: f64,
    /// The hardest throttle there was.
    pub max_throttle: f64,
    /// Guest time stolen: the mean over all vCPUs of the sum of their stalls.
    pub stolen_ms: f64,
    /// `stolen_ms` as a share of the migration's time.
    pub guest_time_share_stolen: f64,
    /// The longest stall of any vCPU.
    pub max_stall_ms: f64,
    /// What the controller believed last.
    pub verdict: Option<Verdict>,
    /// `ok`, `not_checked`, or what is wrong.
    pub integrity: String,
    /// Rates and throttle over time.
    #[serde(default)]
    pub timeline: Vec<TimePoint>,
    /// What was decided when, and why.
    #[serde(default)]
    pub events: Vec<TimeLineEvent>,
}
