//! One virtual machine in KVM: its memory slots and what it was made with.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use kvm_bindings::{
    CpuId, KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET,
    KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, KVM_MAX_CPUID_ENTRIES, KVM_MEM_LOG_DIRTY_PAGES,
    kvm_dirty_gfn, kvm_enable_cap, kvm_userspace_memory_region,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};
use landfall_migrate::machine::{DirtyLog, GuestMemory};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use super::bitmap::BitmapLog;
use super::rings::{DirtyRings, RingLog};
use crate::memory::GuestRam;

/// What KVM refused.
#[derive(Debug, thiserror::Error)]
pub enum KvmError {
    /// `/dev/kvm` cannot be used.
    #[error(
        "/dev/kvm cannot be used; load the kvm module, get permission for /dev/kvm, or choose --machine synthetic"
    )]
    Open(#[source] kvm_ioctls::Error),
    /// KVM lacks a capability.
    #[error("this kernel's KVM lacks {0}; choose --machine synthetic, or a newer kernel")]
    Lacks(&'static str),
    /// A call failed.
    #[error("KVM refused to {0}")]
    Refused(&'static str, #[source] kvm_ioctls::Error),
    /// KVM has no dirty ring.
    #[error(
        "this kernel's KVM has no dirty ring (KVM_CAP_DIRTY_LOG_RING_ACQ_REL); choose --dirty-log auto or bitmap, or a newer kernel"
    )]
    NoRing,
    /// The dirty rings.
    #[error("KVM refused to map or reset the dirty rings; choose --dirty-log bitmap")]
    Ring(#[source] std::io::Error),
    /// The rings named pages that the machine does not have.
    #[error(
        "the dirty rings named {0} pages that the machine does not have; choose --dirty-log bitmap"
    )]
    StrayEntries(u64),
    /// A saved state holds what this host's KVM does not take.
    #[error("the saved state does not fit this host: {0}")]
    State(String),
}

/// Gives the closure that names what KVM refused.
pub(super) fn refused(what: &'static str) -> impl Fn(kvm_ioctls::Error) -> KvmError {
    move |error| KvmError::Refused(what, error)
}

/// Whether this host has a KVM that Landfall can use.
///
/// # Errors
/// Why it has not.
pub fn is_available() -> Result<(), KvmError> {
    open().map(drop)
}

/// The frequency in Hz of the TSC that guests on this host read unless they are told another one.
///
/// # Errors
/// When KVM is not there or refuses.
pub fn tsc_frequency() -> Result<u64, KvmError> {
    let vm = open()?.create_vm().map_err(refused("make a virtual machine"))?;
    let vcpu = vm.create_vcpu(0).map_err(refused("make a vCPU"))?;
    Ok(u64::from(vcpu.get_tsc_khz().map_err(refused("read the TSC frequency"))?) * 1000)
}

/// Whether this host's KVM has the dirty ring.
#[must_use]
pub fn has_dirty_ring() -> bool {
    open().is_ok_and(|kvm| {
        RING_CAPABILITIES.iter().any(|cap| kvm.check_extension_raw(u64::from(*cap)) > 0)
    })
}

/// The dirty ring's capability, and what it was called before the order of accesses was a part of it. On x86 they are
/// the same, and kernels before 6.1 have only the older one.
#[cfg(target_arch = "x86_64")]
const RING_CAPABILITIES: &[u32] = &[KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING];
#[cfg(not(target_arch = "x86_64"))]
const RING_CAPABILITIES: &[u32] = &[KVM_CAP_DIRTY_LOG_RING_ACQ_REL];
const _: () = assert!(KVM_CAP_DIRTY_LOG_RING == 192 && KVM_CAP_DIRTY_LOG_RING_ACQ_REL == 223);

/// How KVM records which pages were written. Fixed when the machine is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirtyTracking {
    /// One bitmap for all vCPUs.
    Bitmap,
    /// A ring a vCPU.
    Ring {
        /// Entries in each ring. The kernel's least is taken where this is less, and its most where it is more.
        entries: u32,
    },
}

fn open() -> Result<Kvm, KvmError> {
    let kvm = Kvm::new().map_err(KvmError::Open)?;
    if !kvm.check_extension(Cap::UserMemory) {
        return Err(KvmError::Lacks("guest memory from the monitor (KVM_CAP_USER_MEMORY)"));
    }
    Ok(kvm)
}

/// A range of guest memory as KVM knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) address: u64,
    pub(super) pages: u64,
    pub(super) host_address: u64,
}

/// A virtual machine.
#[derive(Debug)]
pub struct KvmVm {
    kvm: Kvm,
    fd: VmFd,
    slots: Vec<Slot>,
    rings: Option<DirtyRings>,
    has_chipset: bool,
    /// Keeps the mappings alive that the slots point to.
    ram: Arc<GuestRam>,
}

impl KvmVm {
    /// A machine with `ram` as its memory and no vCPUs yet.
    ///
    /// # Errors
    /// When KVM is not there, lacks something, or refuses.
    pub fn new(ram: Arc<GuestRam>, tracking: DirtyTracking) -> Result<Self, KvmError> {
        let kvm = open()?;
        let fd = kvm.create_vm().map_err(refused("make a virtual machine"))?;
        let rings = match tracking {
            DirtyTracking::Bitmap => {
                enable_manual_protection(&fd)?;
                None
            }
            DirtyTracking::Ring { entries } => {
                Some(DirtyRings::new(enable_rings(&fd, entries)?, ram.layout().end()))
            }
        };
        let slots = (0..)
            .zip(ram.map().iter())
            .map(|(number, region)| Slot {
                number,
                address: region.start_addr().0,
                pages: region.len() / landfall_converge::PAGE_SIZE,
                host_address: region.as_ptr() as u64,
            })
            .collect();
        let vm = Self { kvm, fd, slots, rings, has_chipset: false, ram };
        vm.set_dirty_logging(false)?;
        Ok(vm)
    }

    /// The dirty log of this machine.
    #[must_use]
    pub fn dirty_log(self: &Arc<Self>) -> Box<dyn DirtyLog> {
        let (vm, ram) = (Arc::clone(self), Arc::clone(&self.ram));
        match self.rings {
            None => Box::new(BitmapLog::new(vm, ram)),
            Some(_) => Box::new(RingLog::new(vm, ram)),
        }
    }

    /// The next vCPU; `index` counts up from 0.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn vcpu(&self, index: u64) -> Result<VcpuFd, KvmError> {
        let vcpu = self.fd.create_vcpu(index).map_err(refused("make a vCPU"))?;
        if let Some(rings) = &self.rings {
            rings.add(vcpu.as_raw_fd())?;
        }
        Ok(vcpu)
    }

    pub(super) fn rings(&self) -> Option<&DirtyRings> {
        self.rings.as_ref()
    }

    /// What a guest on this host may know of its processor.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn supported_cpuid(&self) -> Result<CpuId, KvmError> {
        self.kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(refused("list processor features"))
    }

    /// The numbers of the model-specific registers that belong to a vCPU's state.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn msr_indices(&self) -> Result<Vec<u32>, KvmError> {
        let list = self.kvm.get_msr_index_list().map_err(refused("list MSRs"))?;
        Ok(list.as_slice().to_vec())
    }

    pub(super) fn fd(&self) -> &VmFd {
        &self.fd
    }

    /// Whether the machine has interrupt controllers, timer and clock.
    pub(super) fn has_chipset(&self) -> bool {
        self.has_chipset
    }

    /// Notes that it has them.
    pub(super) fn set_chipset(&mut self) {
        self.has_chipset = true;
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn set_dirty_logging(&self, on: bool) -> Result<(), KvmError> {
        for slot in &self.slots {
            let region = kvm_userspace_memory_region {
                slot: slot.number,
                flags: if on { KVM_MEM_LOG_DIRTY_PAGES } else { 0 },
                guest_phys_addr: slot.address,
                memory_size: slot.pages * landfall_converge::PAGE_SIZE,
                userspace_addr: slot.host_address,
            };
            // SAFETY: the slot describes one mapping of `self.ram`, which lives at least as long as the machine: both
            // are owned by `self`, and vCPUs hold on to `self`.
            unsafe { self.fd.set_user_memory_region(region) }
                .map_err(refused("take guest memory"))?;
        }
        Ok(())
    }
}

fn enable_manual_protection(vm: &VmFd) -> Result<(), KvmError> {
    let offered =
        u64::try_from(vm.check_extension_raw(u64::from(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)))
            .unwrap_or(0);
    let manual = u64::from(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    if offered & manual == 0 {
        return Err(KvmError::Lacks(
            "manual protection of the dirty log (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)",
        ));
    }
    let mut enable =
        kvm_enable_cap { cap: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, ..Default::default() };
    enable.args[0] = offered & (manual | u64::from(KVM_DIRTY_LOG_INITIALLY_SET));
    vm.enable_cap(&enable).map_err(refused("protect pages by hand"))
}

/// Gives every vCPU that will be made a ring of some `entries` entries; how many it really is. Manual protection is not
/// for machines with rings: with it, pages would begin unprotected and marked in a bitmap that there is not.
fn enable_rings(vm: &VmFd, entries: u32) -> Result<u32, KvmError> {
    let entry = size_of::<kvm_dirty_gfn>() as u64;
    for cap in RING_CAPABILITIES {
        let most = u64::try_from(vm.check_extension_raw(u64::from(*cap))).unwrap_or(0) / entry;
        let Some(most) = u32::try_from(most).ok().filter(|most| *most > 0) else { continue };
        let mut count = entries.next_power_of_two().min(most);
        loop {
            let mut enable = kvm_enable_cap { cap: *cap, ..Default::default() };
            enable.args[0] = u64::from(count) * entry;
            match vm.enable_cap(&enable) {
                Ok(()) => return Ok(count),
                // The least depends on the processor, and there is no way to ask for it.
                Err(error) if error.errno() == libc::EINVAL && count < most => count *= 2,
                Err(error) => return Err(KvmError::Refused("make dirty rings", error)),
            }
        }
    }
    Err(KvmError::NoRing)
}
