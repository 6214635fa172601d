//! What Landfall's own commands answer.

use serde::{Deserialize, Serialize};

/// The answer to `x-landfall-check-guest`: whether the guest has found its memory as it left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestCheck {
    /// `ok`, or what is wrong.
    pub integrity: String,
    /// Pages that were not as the guest had left them.
    pub violations: u64,
    /// Pages that the monitor looked at.
    pub pages_checked: u64,
    /// One entry a vCPU.
    #[serde(default)]
    pub vcpus: Vec<VcpuCheck>,
}

/// How far a vCPU has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuCheck {
    /// Counts up for as long as the vCPU runs.
    pub heartbeat: u64,
    /// Pages that it has written.
    pub work: u64,
}

/// The answer to `x-landfall-query-vm`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmStatus {
    /// What runs the guest: `kvm` or `synthetic`.
    pub machine: String,
    /// Why it is that machine, where it was not asked for: such as that there is no `/dev/kvm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_reason: Option<String>,
    /// The guest's memory.
    pub memory_bytes: u64,
    /// Whether it may run elsewhere, so that it must not run here before that was decided.
    #[serde(default)]
    pub in_doubt: bool,
    /// One entry a vCPU.
    pub vcpus: Vec<VcpuStatus>,
    /// Whether written pages are being recorded.
    pub dirty_log: bool,
    /// How they are recorded: `bitmap`, `ring` (a ring a vCPU) or `software`.
    #[serde(default)]
    pub dirty_log_kind: String,
    /// The hardest throttle of any vCPU now, 0 to 0.99.
    pub throttle: f64,
    /// How many times the slowest vCPU of a probe has gone over its working set; `None` for other guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub laps: Option<f64>,
}

/// One vCPU in a [`VmStatus`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VcpuStatus {
    /// Which, from 0.
    pub index: u32,
    /// What its thread is doing.
    pub state: VcpuState,
    /// Time held back by the throttle since the last migration began.
    pub stolen_ms: f64,
    /// The longest single stall in that time.
    pub longest_stall_ms: f64,
}

/// What a vCPU's thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VcpuState {
    /// In the guest.
    Running,
    /// In the guest, and held back from time to time.
    Throttled,
    /// Stopped.
    Paused,
    /// Ended.
    Finished,
}
