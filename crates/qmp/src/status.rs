//! What the machine is doing.

use serde::{Deserialize, Serialize};

/// The answer to `query-status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusInfo {
    /// Whether vCPUs run.
    pub running: bool,
    /// Why, or why not.
    pub status: RunState,
}

impl StatusInfo {
    /// The answer for a machine in `status`.
    #[must_use]
    pub fn new(status: RunState) -> Self {
        Self { running: status == RunState::Running, status }
    }
}

/// The states of a machine, by QEMU's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// The guest runs.
    Running,
    /// Stopped by the command `stop`.
    Paused,
    /// Stopped for the switchover of a migration.
    FinishMigrate,
    /// The guest was given away and runs elsewhere.
    Postmigrate,
    /// Waiting for a guest to come in.
    Inmigrate,
    /// Not started yet.
    Prelaunch,
    /// The guest has ended by itself.
    Shutdown,
    /// The machine cannot go on.
    InternalError,
    /// A state of a later QEMU.
    #[serde(other)]
    Other,
}

/// One entry of the answer to `query-cpus-fast`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuInfo {
    /// Which vCPU, from 0.
    pub cpu_index: u32,
    /// Its place in QEMU's object tree; Landfall gives `/machine/cpu[N]`.
    pub qom_path: String,
    /// The thread of the machine's process that runs it.
    pub thread_id: i32,
    /// The architecture.
    pub target: String,
}
