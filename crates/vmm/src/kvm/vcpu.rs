//! One vCPU in KVM: entering the guest, being kicked out of it, and the ports it writes to.

use std::sync::Arc;
use std::time::Duration;

use kvm_bindings::{CpuId, KVM_EXIT_DIRTY_RING_FULL};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::state::{SavedVcpu, readable_msrs};
use super::vm::{KvmError, KvmVm, refused};
use crate::devices::Board;
use crate::signal::{KickSignal, SliceTimer};
use crate::vcpu::{Cpu, CpuError, Ending, Exit, Kick};

/// A vCPU looks at its dirty ring so often: it should not fill up, whoever else is late to empty it.
const LOOK_AT_RING: Duration = Duration::from_millis(50);
/// One that is stopped so often in a row by a full ring in which nothing is, is stopped for entries that are not there.
const PHANTOM: u32 = 4;

fn failure(why: String) -> Exit {
    Exit::Ended(Ending::Failure(why))
}

/// A vCPU in KVM.
#[derive(Debug)]
pub struct KvmCpu {
    fd: VcpuFd,
    msrs: Vec<u32>,
    board: Arc<dyn Board>,
    timer: Option<SliceTimer>,
    index: usize,
    /// Also keeps the machine alive for as long as a vCPU can run in it.
    vm: Arc<KvmVm>,
}

impl KvmCpu {
    /// vCPU `index` of `vm`, with the features of this host and in its reset state.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn new(vm: &Arc<KvmVm>, index: usize, board: Arc<dyn Board>) -> Result<Self, KvmError> {
        let mut cpuid = vm.supported_cpuid()?;
        for entry in cpuid.as_mut_slice() {
            let apic_id = u32::try_from(index).unwrap_or(u32::MAX);
            match entry.function {
                // The initial APIC id stands in the upper byte.
                1 => entry.ebx = (entry.ebx & 0x00FF_FFFF) | (apic_id << 24),
                0xB | 0x1F => entry.edx = apic_id,
                _ => {}
            }
        }
        Self::with_features(vm, index, board, &cpuid)
    }

    /// vCPU `index` of `vm`, with the features that `cpuid` names and in its reset state.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn with_features(
        vm: &Arc<KvmVm>,
        index: usize,
        board: Arc<dyn Board>,
        cpuid: &CpuId,
    ) -> Result<Self, KvmError> {
        let fd = vm.vcpu(index as u64)?;
        fd.set_cpuid2(cpuid).map_err(refused("take CPUID"))?;
        let msrs = readable_msrs(&fd, &vm.msr_indices()?);
        Ok(Self { fd, msrs, board, timer: None, index, vm: Arc::clone(vm) })
    }

    /// The frequency of the guest's TSC in Hz.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn tsc_frequency(&self) -> Result<u64, KvmError> {
        Ok(u64::from(self.fd.get_tsc_khz().map_err(refused("read the TSC frequency"))?) * 1000)
    }

    pub(super) fn fd(&self) -> &VcpuFd {
        &self.fd
    }
}

impl Cpu for KvmCpu {
    type State = SavedVcpu;

    fn attach(&mut self) -> Result<Kick, CpuError> {
        let signal = KickSignal::for_this_thread(&self.fd)?;
        self.timer = Some(SliceTimer::for_this_thread()?);
        Ok(Box::new(move || signal.kick()))
    }

    fn run(&mut self, slice: Option<Duration>) -> Result<Exit, CpuError> {
        let timer = self.timer.as_ref().ok_or("the vCPU's thread was not attached")?;
        let rings = self.vm.rings();
        let slice = match (slice, rings) {
            (slice, Some(_)) => Some(slice.unwrap_or(LOOK_AT_RING).min(LOOK_AT_RING)),
            (slice, None) => slice,
        };
        if let Some(slice) = slice {
            timer.arm(slice)?;
        }
        let mut stopped_for_nothing = 0;
        let exit = loop {
            match self.fd.run() {
                // KVM completes a half-done access to a device before it notices the signal, so that leaving the loop
                // here, and only here, leaves nothing half done.
                Err(error) if error.errno() == libc::EINTR => break Exit::Interrupted,
                Err(error) if error.errno() == libc::EAGAIN => {}
                Err(error) => return Err(Box::new(KvmError::Refused("run a vCPU", error))),
                Ok(VcpuExit::Intr) => break Exit::Interrupted,
                Ok(VcpuExit::IoOut(port, data)) => {
                    if let Some(ending) = self.board.write_port(port, data) {
                        break Exit::Ended(ending);
                    }
                }
                Ok(VcpuExit::IoIn(port, data)) => self.board.read_port(port, data),
                Ok(VcpuExit::MmioRead(address, data)) => self.board.read_memory(address, data),
                Ok(VcpuExit::MmioWrite(address, data)) => self.board.write_memory(address, data),
                // The guest was not entered. A kick that came meanwhile is pending and makes the next entry return.
                Ok(VcpuExit::Unsupported(KVM_EXIT_DIRTY_RING_FULL)) => {
                    let phantom = stopped_for_nothing >= PHANTOM;
                    let found = match rings {
                        Some(rings) => rings.relieve(&self.vm, self.index, phantom)?,
                        None => false,
                    };
                    stopped_for_nothing =
                        if found || phantom { 0 } else { stopped_for_nothing + 1 };
                    continue;
                }
                Ok(VcpuExit::Hlt) => break failure("the guest halted for good".to_owned()),
                Ok(VcpuExit::Shutdown) => {
                    break failure("the guest crashed (triple fault)".to_owned());
                }
                Ok(other) => break failure(format!("the guest cannot go on: {other:?}")),
            }
            stopped_for_nothing = 0;
        };
        if slice.is_some() {
            timer.disarm()?;
        }
        KickSignal::consume();
        if let Some(rings) = rings {
            rings.relieve_early(&self.vm, self.index)?;
        }
        Ok(exit)
    }

    /// Tells the guest that time has passed without it, so that it does not take the pause for a lockup of its own.
    fn goes_on(&mut self) {
        if self.vm.has_chipset() {
            // Refused where the guest has no KVM clock, and then it does not matter.
            let _ = self.fd.kvmclock_ctrl();
        }
    }

    fn save(&mut self) -> Result<SavedVcpu, CpuError> {
        Ok(SavedVcpu::read(&self.fd, &self.msrs, self.vm.has_chipset())?)
    }

    fn load(&mut self, state: SavedVcpu) -> Result<(), CpuError> {
        Ok(state.write(&self.fd)?)
    }
}
