//! What a machine is made from.

use landfall_converge::Bytes;
use landfall_migrate::machine::MachineKind;
use serde::{Deserialize, Serialize};

use super::{DirtyLogChoice, Guest};

/// What a machine is made from. It travels in the hand-shake, so that a destination needs no copy of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// What runs the guest.
    pub machine: MachineKind,
    /// How much memory the guest has.
    pub memory: Bytes,
    /// How many vCPUs.
    pub vcpus: usize,
    /// What the guest is.
    #[serde(flatten)]
    pub guest: Guest,
    /// Which dirty log is wished for. A destination that does not have it uses the one that it has.
    #[serde(default, skip_serializing_if = "DirtyLogChoice::is_auto")]
    pub dirty_log: DirtyLogChoice,
}

impl Configuration {
    /// Whether the guest writes to disks, so that its memory alone does not say all about it.
    #[must_use]
    pub fn has_writable_disk(&self) -> bool {
        matches!(&self.guest, Guest::Kernel(guest) if guest.disks.iter().any(|disk| !disk.read_only))
    }
}
