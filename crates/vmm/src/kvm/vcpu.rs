//! One vCPU in KVM: entering the guest, being kicked out of it, and the ports it writes to.

use std::sync::Arc;
use std::time::Duration;

use kvm_bindings::{KVM_EXIT_DIRTY_RING_FULL, kvm_regs, kvm_segment};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::state::{SavedVcpu, readable_msrs};
use super::vm::{KvmError, KvmVm, refused};
use crate::devices::PortBus;
use crate::signal::{KickSignal, SliceTimer};
use crate::vcpu::{Cpu, CpuError, Exit, Kick};

/// A vCPU looks at its dirty ring so often: it should not fill up, whoever else is late to empty it.
const LOOK_AT_RING: Duration = Duration::from_millis(50);
/// One that is stopped so often in a row by a full ring in which nothing is, is stopped for entries that are not there.
const PHANTOM: u32 = 4;

/// A vCPU in KVM.
#[derive(Debug)]
pub struct KvmCpu {
    fd: VcpuFd,
    msrs: Vec<u32>,
    ports: Arc<PortBus>,
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
    pub fn new(vm: &Arc<KvmVm>, index: usize, ports: Arc<PortBus>) -> Result<Self, KvmError> {
        let id = index as u64;
        let fd = vm.vcpu(id)?;
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
        fd.set_cpuid2(&cpuid).map_err(refused("take CPUID"))?;
        let msrs = readable_msrs(&fd, &vm.msr_indices()?);
        Ok(Self { fd, msrs, ports, timer: None, index, vm: Arc::clone(vm) })
    }

    /// The frequency of the guest's TSC in Hz.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn tsc_frequency(&self) -> Result<u64, KvmError> {
        Ok(u64::from(self.fd.get_tsc_khz().map_err(refused("read the TSC frequency"))?) * 1000)
    }

    /// Sets the vCPU up to run 64-bit code at `entry`, with paging by the tables at `root_table`.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn enter_long_mode(&self, entry: &LongModeEntry) -> Result<(), KvmError> {
        const CR0_PE: u64 = 1;
        const CR0_ET: u64 = 1 << 4;
        const CR0_PG: u64 = 1 << 31;
        const CR4_PAE: u64 = 1 << 5;
        const EFER_LME: u64 = 1 << 8;
        const EFER_LMA: u64 = 1 << 10;
        let mut sregs = self.fd.get_sregs().map_err(refused("read system registers"))?;
        let code = kvm_segment {
            limit: 0xFFFF_FFFF,
            selector: 8,
            type_: 0b1011,
            present: 1,
            s: 1,
            l: 1,
            g: 1,
            ..Default::default()
        };
        let data = kvm_segment { selector: 16, type_: 0b0011, l: 0, db: 1, ..code };
        sregs.cs = code;
        (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
        sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
        sregs.cr3 = entry.root_table;
        sregs.cr4 = CR4_PAE;
        sregs.efer = EFER_LME | EFER_LMA;
        self.fd.set_sregs(&sregs).map_err(refused("take system registers"))?;
        let regs = kvm_regs {
            rip: entry.code,
            rsp: entry.stack,
            r15: entry.argument,
            rflags: 0b10,
            ..Default::default()
        };
        self.fd.set_regs(&regs).map_err(refused("take registers"))
    }
}

/// Where and how 64-bit code begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongModeEntry {
    /// Address of the first instruction.
    pub code: u64,
    /// The stack's upper end.
    pub stack: u64,
    /// Address of the top-level page table.
    pub root_table: u64,
    /// Given to the code in `r15`.
    pub argument: u64,
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
                Ok(VcpuExit::IoOut(port, data)) => self.ports.write(port, data),
                Ok(VcpuExit::IoIn(port, data)) => self.ports.read(port, data),
                // Nothing is mapped outside of memory: reads give ones, writes go nowhere, as on an empty bus.
                Ok(VcpuExit::MmioRead(_, data)) => data.fill(0xFF),
                Ok(VcpuExit::MmioWrite(..)) => {}
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
                Ok(VcpuExit::Hlt) => break Exit::Ended("the guest halted for good".to_owned()),
                Ok(VcpuExit::Shutdown) => {
                    break Exit::Ended("the guest crashed (triple fault)".to_owned());
                }
                Ok(other) => break Exit::Ended(format!("the guest cannot go on: {other:?}")),
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

    fn save(&mut self) -> Result<SavedVcpu, CpuError> {
        Ok(SavedVcpu::read(&self.fd, &self.msrs)?)
    }

    fn load(&mut self, state: SavedVcpu) -> Result<(), CpuError> {
        Ok(state.write(&self.fd)?)
    }
}
