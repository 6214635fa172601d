//! The state of a vCPU in KVM that its guest can see.

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, Msrs, kvm_cpuid_entry2, kvm_debugregs, kvm_lapic_state,
    kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use serde::{Deserialize, Serialize};

use super::vm::{KvmError, refused};

const TSC_DEADLINE: u32 = 0x6E0;
/// Where the guest wants the time of day at which it began, under an old number and a new one. KVM writes it there as soon as
/// it is told the place, and forgets it: a guest that wants to know it again asks again. To tell KVM the place of an earlier answer
/// would have it write to memory in which the guest may yet go on at the source, and a time by a clock that is not the guest's yet.
const WALL_CLOCK: [u32; 2] = [0x11, 0x4B56_4D00];

/// A vCPU's state as it travels. The parts are the kernel's own structures, which are its stable interface.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedVcpu {
    cpuid: Vec<kvm_cpuid_entry2>,
    tsc_khz: u32,
    regs: kvm_regs,
    sregs: kvm_sregs,
    xsave: kvm_xsave,
    xcrs: kvm_xcrs,
    debug_regs: kvm_debugregs,
    events: kvm_vcpu_events,
    mp_state: kvm_mp_state,
    /// Only in machines with interrupt controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lapic: Option<kvm_lapic_state>,
    msrs: Vec<SavedMsr>,
}

/// A model-specific register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMsr {
    /// Its number.
    pub index: u32,
    /// Its value.
    pub value: u64,
}

/// The MSRs in `candidates` that this vCPU really has, and that are more than a question. KVM lists some that a given processor lacks.
pub(super) fn readable_msrs(vcpu: &VcpuFd, candidates: &[u32]) -> Vec<u32> {
    let kept = candidates.iter().copied().filter(|index| !WALL_CLOCK.contains(index));
    kept.filter(|index| read_msr(vcpu, *index).is_some()).collect()
}

fn read_msr(vcpu: &VcpuFd, index: u32) -> Option<u64> {
    let mut msr = Msrs::from_entries(&[kvm_msr_entry { index, ..Default::default() }]).ok()?;
    match vcpu.get_msrs(&mut msr) {
        Ok(1) => msr.as_slice().first().map(|entry| entry.data),
        _ => None,
    }
}

impl SavedVcpu {
    /// Reads the state of a stopped vCPU; `msrs` from [`readable_msrs`]. `has_lapic`: it has a local APIC.
    pub(super) fn read(vcpu: &VcpuFd, msrs: &[u32], has_lapic: bool) -> Result<Self, KvmError> {
        let cpuid = vcpu.get_cpuid2(KVM_MAX_CPUID_ENTRIES).map_err(refused("read CPUID"))?;
        Ok(Self {
            cpuid: cpuid.as_slice().to_vec(),
            tsc_khz: vcpu.get_tsc_khz().map_err(refused("read the TSC frequency"))?,
            // Reading the run state lets a vCPU take a start signal that waits for it, which changes all of the others.
            mp_state: vcpu.get_mp_state().map_err(refused("read the run state"))?,
            // Pending exceptions come before the registers that they will change.
            events: vcpu.get_vcpu_events().map_err(refused("read pending events"))?,
            lapic: has_lapic
                .then(|| vcpu.get_lapic().map_err(refused("read the local APIC")))
                .transpose()?,
            regs: vcpu.get_regs().map_err(refused("read registers"))?,
            sregs: vcpu.get_sregs().map_err(refused("read system registers"))?,
            xsave: vcpu.get_xsave().map_err(refused("read the FPU"))?,
            xcrs: vcpu.get_xcrs().map_err(refused("read extended control registers"))?,
            debug_regs: vcpu.get_debug_regs().map_err(refused("read debug registers"))?,
            msrs: msrs
                .iter()
                .filter_map(|index| {
                    Some(SavedMsr { index: *index, value: read_msr(vcpu, *index)? })
                })
                .collect(),
        })
    }

    /// Gives a stopped vCPU this state.
    pub(super) fn write(&self, vcpu: &VcpuFd) -> Result<(), KvmError> {
        let cpuid = CpuId::from_entries(&self.cpuid)
            .map_err(|_| KvmError::State("it has more CPUID leaves than KVM takes".to_owned()))?;
        // CPUID first: it decides which of the rest is legal.
        vcpu.set_cpuid2(&cpuid).map_err(refused("take CPUID"))?;
        if vcpu.get_tsc_khz().map_err(refused("read the TSC frequency"))? != self.tsc_khz {
            vcpu.set_tsc_khz(self.tsc_khz)
                .map_err(refused("run the guest's TSC at its frequency"))?;
        }
        vcpu.set_sregs(&self.sregs).map_err(refused("take system registers"))?;
        // SAFETY: the guest's CPUID, just set, enables no feature whose area lies beyond `kvm_xsave`: dynamic features
        // must be asked for with arch_prctl, which this program never does.
        unsafe { vcpu.set_xsave(&self.xsave) }.map_err(refused("take the FPU"))?;
        // A processor without XSAVE has none, and KVM then does not even take none.
        if self.xcrs.nr_xcrs > 0 {
            vcpu.set_xcrs(&self.xcrs).map_err(refused("take extended control registers"))?;
        }
        vcpu.set_debug_regs(&self.debug_regs).map_err(refused("take debug registers"))?;
        if let Some(lapic) = &self.lapic {
            vcpu.set_lapic(lapic).map_err(refused("take the local APIC"))?;
        }
        // The APIC's timer is set last: by a TSC that is the guest's already, in an APIC that is, too.
        let kept = self.msrs.iter().filter(|msr| !WALL_CLOCK.contains(&msr.index));
        let (last, first): (Vec<&SavedMsr>, Vec<&SavedMsr>) =
            kept.partition(|msr| msr.index == TSC_DEADLINE);
        for msr in first.into_iter().chain(last) {
            write_msr(vcpu, *msr)?;
        }
        vcpu.set_regs(&self.regs).map_err(refused("take registers"))?;
        vcpu.set_mp_state(self.mp_state).map_err(refused("take the run state"))?;
        vcpu.set_vcpu_events(&self.events).map_err(refused("take pending events"))?;
        Ok(())
    }
}

pub(super) fn write_msr(vcpu: &VcpuFd, msr: SavedMsr) -> Result<(), KvmError> {
    let entry = kvm_msr_entry { index: msr.index, data: msr.value, ..Default::default() };
    let entries = Msrs::from_entries(&[entry])
        .map_err(|_| KvmError::State("an MSR cannot be handed to KVM".to_owned()))?;
    match vcpu.set_msrs(&entries) {
        Ok(1) => Ok(()),
        // Some can be read and not written; that is no loss where the value is the same already.
        _ if read_msr(vcpu, msr.index) == Some(msr.value) => Ok(()),
        _ => Err(KvmError::State(format!(
            "this host does not take MSR {:#x} = {:#x}",
            msr.index, msr.value
        ))),
    }
}
