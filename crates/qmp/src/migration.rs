//! The answer to `query-migrate`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a migration is, by QEMU's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationStatus {
    /// There was none yet.
    #[default]
    None,
    /// Reaching the destination.
    Setup,
    /// Being cancelled.
    Cancelling,
    /// Cancelled; the guest runs on the source.
    Cancelled,
    /// Pages are being sent while the guest runs.
    Active,
    /// QEMU: post-copy begins.
    PostcopyDevice,
    /// QEMU: the guest runs at the destination, pages follow.
    PostcopyActive,
    /// QEMU: post-copy has lost its connection.
    PostcopyPaused,
    /// QEMU: post-copy is about to take its connection up again.
    PostcopyRecoverSetup,
    /// QEMU: post-copy takes its connection up again.
    PostcopyRecover,
    /// The guest runs at the destination.
    Completed,
    /// QEMU: about to be failed.
    Failing,
    /// Failed; the guest runs on the source, unless the error says otherwise.
    Failed,
    /// QEMU: lock-step replication.
    Colo,
    /// QEMU: waits before the switchover.
    PreSwitchover,
    /// The guest is stopped, the last of it is being sent.
    Device,
    /// QEMU: waits for a device to be unplugged.
    WaitUnplug,
    /// A status of a later QEMU.
    #[serde(other)]
    Other,
}

impl MigrationStatus {
    /// Whether nothing more will happen to the migration.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// The answer to `query-migrate`. All times are in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct MigrationInfo {
    /// Where it is; left out, as in QEMU, when there was no migration yet.
    #[serde(skip_serializing_if = "is_none_status")]
    pub status: MigrationStatus,
    /// Since it began; how long it took, when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_time: Option<u64>,
    /// When it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downtime: Option<u64>,
    /// While it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_downtime: Option<u64>,
    /// Until the first page left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup_time: Option<u64>,
    /// The hardest throttle of any vCPU, in per cent; left out while none is held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_throttle_percentage: Option<u64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_desc: Option<String>,
    /// Counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram: Option<RamStats>,
    /// Where a destination listens over TCP: tells the port that the system chose.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub socket_address: Vec<SocketAddress>,
    /// What QEMU has no field for.
    #[serde(rename = "x-landfall", skip_serializing_if = "Option::is_none")]
    pub landfall: Option<LandfallMigration>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_none_status(status: &MigrationStatus) -> bool {
    *status == MigrationStatus::None
}

/// An address that a destination listens at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketAddress {
    /// `inet` for TCP, which alone has the two others.
    #[serde(rename = "type")]
    pub kind: String,
    /// The host.
    pub host: String,
    /// The port, in digits.
    pub port: String,
}

/// Counters of guest memory, as QEMU counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RamStats {
    /// Bytes that have left.
    pub transferred: u64,
    /// Bytes still to send.
    pub remaining: u64,
    /// Bytes of the guest's memory.
    pub total: u64,
    /// Zero pages sent.
    pub duplicate: u64,
    /// Pages sent as they are.
    pub normal: u64,
    /// The same in bytes.
    pub normal_bytes: u64,
    /// Pages dirtied a second.
    pub dirty_pages_rate: u64,
    /// Megabits that leave a second.
    pub mbps: f64,
    /// Times that the dirty log was read as a whole, which is the number of the pass.
    pub dirty_sync_count: u64,
    /// Pages asked for in post-copy.
    pub postcopy_requests: u64,
    /// Bytes of a page.
    pub page_size: u64,
    /// Bytes that left over channels of their own.
    pub multifd_bytes: u64,
    /// Pages that leave a second.
    pub pages_per_second: u64,
    /// Bytes that left while the guest ran.
    pub precopy_bytes: u64,
    /// Bytes that left while the guest was stopped.
    pub downtime_bytes: u64,
    /// Bytes that left in post-copy.
    pub postcopy_bytes: u64,
}

/// What Landfall's machines tell beyond QEMU's fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LandfallMigration {
    /// `connecting`, `first_pass`, `passes`, `switchover` or `committed`.
    pub phase: String,
    /// The pass under way, from 1; 0 before the first.
    pub pass: u64,
    /// `off`, `classic`, `stepped` or `adaptive`.
    pub policy: String,
    /// The hardest throttle of any vCPU now, 0 to 0.99.
    pub throttle: f64,
    /// What the controller believes, as it stands in the report; `null` before it was asked.
    pub verdict: Option<Value>,
    /// Distinct bytes dirtied a second of wall time.
    pub dirty_rate_bytes_per_second: f64,
    /// Bytes that leave a second, smoothed.
    pub bandwidth_bytes_per_second: f64,
    /// The whole report, once the migration is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Value>,
}

#[cfg(test)]
#[path = "migration_tests.rs"]
mod tests;
