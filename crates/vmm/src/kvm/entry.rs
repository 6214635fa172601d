//! Where and how a vCPU begins.

use kvm_bindings::{kvm_regs, kvm_segment};

use super::state::{SavedMsr, write_msr};
use super::vcpu::KvmCpu;
use super::vm::{KvmError, refused};

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;
/// The bit of the flags that is always set.
const RFLAGS: u64 = 0b10;

/// Where 64-bit code begins.
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

/// Where 32-bit code without paging begins, with flat segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlatEntry {
    /// Address of the first instruction.
    pub code: u64,
    /// The upper end of a small stack. Neither interface promises one, and there are kernels that begin with a call.
    pub stack: u64,
    /// Given to the code in `ebx`, where a PVH guest looks for its start information.
    pub ebx: u64,
    /// Given to the code in `esi`, where Linux looks for its boot parameters.
    pub esi: u64,
    /// Address and limit of the table that the segments stand in, for code that loads them again.
    pub descriptors: (u64, u16),
}

/// The selectors that [`FlatEntry`] uses, as Linux wants them.
pub const FLAT_CODE: u16 = 0x10;
/// See [`FLAT_CODE`].
pub const FLAT_DATA: u16 = 0x18;

fn segment(selector: u16, type_: u8) -> kvm_segment {
    kvm_segment {
        limit: 0xFFFF_FFFF,
        selector,
        type_,
        present: 1,
        s: 1,
        g: 1,
        ..Default::default()
    }
}

const EXECUTE_READ: u8 = 0b1011;
const READ_WRITE: u8 = 0b0011;

impl KvmCpu {
    /// Sets the vCPU up to run 64-bit code, with paging.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn enter_long_mode(&self, entry: &LongModeEntry) -> Result<(), KvmError> {
        let mut sregs = self.fd().get_sregs().map_err(refused("read system registers"))?;
        let data = kvm_segment { db: 1, ..segment(16, READ_WRITE) };
        sregs.cs = kvm_segment { l: 1, ..segment(8, EXECUTE_READ) };
        (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
        sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
        sregs.cr3 = entry.root_table;
        sregs.cr4 = CR4_PAE;
        sregs.efer = EFER_LME | EFER_LMA;
        self.fd().set_sregs(&sregs).map_err(refused("take system registers"))?;
        let regs = kvm_regs {
            rip: entry.code,
            rsp: entry.stack,
            r15: entry.argument,
            rflags: RFLAGS,
            ..Default::default()
        };
        self.fd().set_regs(&regs).map_err(refused("take registers"))
    }

    /// Sets the vCPU up to run 32-bit code, without paging.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn enter_flat(&self, entry: &FlatEntry) -> Result<(), KvmError> {
        let mut sregs = self.fd().get_sregs().map_err(refused("read system registers"))?;
        let data = kvm_segment { db: 1, ..segment(FLAT_DATA, READ_WRITE) };
        sregs.cs = kvm_segment { db: 1, ..segment(FLAT_CODE, EXECUTE_READ) };
        (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
        // A task that is running, as the processor insists on: of 32 bits, and no longer than a task must be.
        sregs.tr = kvm_segment { limit: 0x67, s: 0, g: 0, ..segment(0, EXECUTE_READ) };
        (sregs.gdt.base, sregs.gdt.limit) = entry.descriptors;
        (sregs.idt.base, sregs.idt.limit) = (0, 0);
        (sregs.cr0, sregs.cr4, sregs.efer) = (CR0_PE | CR0_ET, 0, 0);
        self.fd().set_sregs(&sregs).map_err(refused("take system registers"))?;
        let regs = kvm_regs {
            rip: entry.code,
            rsp: entry.stack,
            rbx: entry.ebx,
            rsi: entry.esi,
            rflags: RFLAGS,
            ..Default::default()
        };
        self.fd().set_regs(&regs).map_err(refused("take registers"))
    }

    /// Sets what firmware would have set in a vCPU: fast string instructions, and memory that may be cached.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn set_as_firmware_does(&self) -> Result<(), KvmError> {
        const MISC_ENABLE: u32 = 0x1A0;
        const FAST_STRINGS: u64 = 1;
        const MTRR_DEFAULT_TYPE: u32 = 0x2FF;
        const MTRRS_ON: u64 = 1 << 11;
        const WRITE_BACK: u64 = 6;
        for (index, value) in
            [(MISC_ENABLE, FAST_STRINGS), (MTRR_DEFAULT_TYPE, MTRRS_ON | WRITE_BACK)]
        {
            write_msr(self.fd(), SavedMsr { index, value })?;
        }
        Ok(())
    }
}
