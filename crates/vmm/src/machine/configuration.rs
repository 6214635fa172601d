//! What a machine is made from.

use landfall_converge::Bytes;
use landfall_migrate::machine::MachineKind;
use serde::{Deserialize, Serialize};

use super::form::{FORM, first_form};
use super::{DirtyLogChoice, Guest, KernelGuest};
use crate::memory::HugePageSize;
use crate::probe::Workload;

/// What a machine is made from. It travels in the hand-shake, so that a destination needs no copy of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Configuration {
    /// What runs the guest.
    pub machine: MachineKind,
    /// How much memory the guest has.
    pub memory: Bytes,
    /// Huge pages of the host's pool that it is in, if it is; so it is at the destination.
    pub huge_pages: Option<HugePageSize>,
    /// How many vCPUs.
    pub vcpus: usize,
    /// What the guest is.
    pub guest: Guest,
    /// Which dirty log is wished for. A destination that does not have it uses the one that it has.
    pub dirty_log: DirtyLogChoice,
}

/// A configuration as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// In which form the rest is.
    #[serde(default = "first_form")]
    form: u32,
    machine: MachineKind,
    memory: Bytes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    huge_pages: Option<HugePageSize>,
    vcpus: usize,
    /// One of these two is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workload: Option<Workload>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kernel: Option<KernelGuest>,
    #[serde(default, skip_serializing_if = "DirtyLogChoice::is_auto")]
    dirty_log: DirtyLogChoice,
}

impl From<Configuration> for Written {
    fn from(configuration: Configuration) -> Self {
        let Configuration { machine, memory, huge_pages, vcpus, guest, dirty_log } = configuration;
        let (workload, kernel) = match guest {
            Guest::Probe(workload) => (Some(workload), None),
            Guest::Kernel(kernel) => (None, Some(kernel)),
        };
        Self { form: FORM, machine, memory, huge_pages, vcpus, workload, kernel, dirty_log }
    }
}

impl TryFrom<Written> for Configuration {
    type Error = &'static str;
    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { form: _, machine, memory, huge_pages, vcpus, workload, kernel, dirty_log } =
            written;
        let guest = match (workload, kernel) {
            (Some(workload), None) => Guest::Probe(workload),
            (None, Some(kernel)) => Guest::Kernel(kernel),
            _ => return Err("the guest must be either a probe or a kernel"),
        };
        Ok(Self { machine, memory, huge_pages, vcpus, guest, dirty_log })
    }
}

impl Configuration {
    /// Whether the guest writes to disks, so that its memory alone does not say all about it.
    #[must_use]
    pub fn has_writable_disk(&self) -> bool {
        matches!(&self.guest, Guest::Kernel(guest) if guest.disks.iter().any(|disk| !disk.read_only))
    }
}
