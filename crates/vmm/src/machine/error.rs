//! Why a machine could not be made, or not be controlled.

use std::io;

use super::FormError;
use crate::devices::{DeviceStateError, DiskError, NetError};
use crate::kvm::KvmError;
use crate::memory::MemoryError;
use crate::pc::BootError;
use crate::probe::{PlanError, ProbeError};
use crate::vcpu::{CpuError, PauseTimeout};

/// Why a machine could not be made, or not be controlled.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// KVM.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The guest does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The guest could not be put into memory.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The kernel could not be put into memory.
    #[error("the kernel cannot be booted")]
    Boot(#[from] BootError),
    /// A kernel guest was asked for without a kernel.
    #[error("a new guest needs a kernel; give one with --kernel")]
    NoKernel,
    /// A kernel guest was asked for in something that is no PC.
    #[error("a kernel runs in KVM only; choose --machine kvm, on a host that has /dev/kvm")]
    KernelWithoutKvm,
    /// More vCPUs than a PC has.
    #[error("a PC cannot have {0} vCPUs; choose 1 to {1}")]
    TooManyVcpus(usize, usize),
    /// More devices than a PC has.
    #[error("a PC cannot have {0} disks and network cards; choose {1} at most")]
    TooManyDevices(usize, usize),
    /// A disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A network card.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The host's processor cannot be described.
    #[error(
        "this host has more processor features than KVM takes; this is a mistake in Landfall, please report it"
    )]
    Features,
    /// The guest has seen features that this host does not have.
    #[error(
        "this host's processor lacks what the guest has seen on its own: {0}; choose a host that has it, or start the guest where it is missing"
    )]
    Lacking(String),
    /// The guest has no balloon.
    #[error(
        "the guest has no balloon, and cannot be asked for memory; only one with a kernel has it, from its start on"
    )]
    NoBalloon,
    /// The guest did not answer.
    #[error(
        "the guest does not say how it uses its memory; it must run, and have loaded its driver for balloons (virtio_balloon)"
    )]
    NoStatistics,
    /// A migration or a snapshot holds the guest.
    #[error(
        "the guest is stopped for the switchover of its migration, or for a snapshot; ask again when that is over"
    )]
    Held,
    /// Only a probe checks itself.
    #[error("only a probe guest can be checked; look into other guests with their own means")]
    NoProbe,
    /// No thread for a vCPU or a device.
    #[error(
        "the system gives no thread for a vCPU or a device; lower the load or raise the limit on processes"
    )]
    Thread(#[source] io::Error),
    /// A vCPU does not stop.
    #[error(transparent)]
    Pause(#[from] PauseTimeout),
    /// A vCPU's state.
    #[error("the state of a vCPU cannot be moved")]
    Cpu(#[source] CpuError),
    /// The devices' state.
    #[error(transparent)]
    Devices(#[from] DeviceStateError),
    /// The configuration of a guest that is to come in.
    #[error("the guest's configuration is not taken")]
    Configuration(#[source] FormError),
    /// The state of a guest that has come in.
    #[error("the guest's state is not taken")]
    State(#[source] FormError),
    /// The state has no form in JSON.
    #[error(
        "the state of the guest cannot be written; this is a mistake in Landfall, please report it"
    )]
    Unwritten(#[source] serde_json::Error),
    /// The state has another number of vCPUs.
    #[error("the saved state has {0} vCPUs, the machine has {1}")]
    Vcpus(usize, usize),
    /// A ring is asked for, and the machine is not in KVM.
    #[error("only a guest in KVM has a dirty ring; choose --dirty-log auto, or --machine kvm")]
    RingWithoutKvm,
    /// The guest is over.
    #[error("the guest has ended and cannot run again")]
    Ended,
}
