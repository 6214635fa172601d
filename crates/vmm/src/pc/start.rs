//! What a kernel finds when it starts: by the PVH interface, or by Linux' own.

use landfall_converge::PAGE_SIZE;
use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use linux_loader::loader::start_info::{
    XEN_HVM_START_MAGIC_VALUE, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use vm_memory::{Bytes as _, GuestAddress};

use super::boot::BootError;
use super::map::{BOOT_PARAMETERS, COMMAND_LINE, DESCRIPTORS, MEMORY_MAP, MODULES, START_INFO};
use super::memory_map::memory_map;
use crate::kvm::{FLAT_CODE, FLAT_DATA, FlatEntry};
use crate::memory::GuestRam;

/// None, none, 32-bit code and data.
const SEGMENTS: [u64; 4] = [0, 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF];
const _: () = assert!(FLAT_CODE == 2 * 8 && FLAT_DATA == 3 * 8);
/// A loader that has no number of its own.
const OTHER_LOADER: u8 = 0xFF;
/// The kernel is above 1 MiB, as it must be.
const LOADED_HIGH: u8 = 1;

/// What is known when the kernel lies in memory.
pub(super) struct Start<'a> {
    pub(super) ram: &'a GuestRam,
    /// Address of the ACPI root pointer.
    pub(super) tables: u64,
    /// Address and length of the initial RAM disk.
    pub(super) initrd: Option<(u64, u64)>,
}

impl Start<'_> {
    /// Writes what a PVH kernel is told.
    pub(super) fn pvh(&self, entry: u64) -> Result<FlatEntry, BootError> {
        let map: Vec<_> = memory_map(self.ram)
            .into_iter()
            .map(|(range, what)| hvm_memmap_table_entry {
                addr: range.start,
                size: range.end - range.start,
                type_: what.number(),
                reserved: 0,
            })
            .collect();
        let mut at = MEMORY_MAP;
        for entry in &map {
            self.ram.map().write_obj(*entry, GuestAddress(at))?;
            at += size_of::<hvm_memmap_table_entry>() as u64;
        }
        if let Some((paddr, size)) = self.initrd {
            let module = hvm_modlist_entry { paddr, size, ..Default::default() };
            self.ram.map().write_obj(module, GuestAddress(MODULES))?;
        }
        let info = hvm_start_info {
            magic: XEN_HVM_START_MAGIC_VALUE,
            version: 1,
            nr_modules: u32::from(self.initrd.is_some()),
            modlist_paddr: if self.initrd.is_some() { MODULES } else { 0 },
            cmdline_paddr: COMMAND_LINE,
            rsdp_paddr: self.tables,
            memmap_paddr: MEMORY_MAP,
            memmap_entries: u32::try_from(map.len()).unwrap_or(0),
            ..Default::default()
        };
        self.ram.map().write_obj(info, GuestAddress(START_INFO))?;
        self.flat(entry, START_INFO, 0)
    }

    /// Writes what Linux is told by its own interface; `begin` is where its 32-bit entry is.
    pub(super) fn linux(&self, header: &setup_header, begin: u64) -> Result<FlatEntry, BootError> {
        let mut parameters = boot_params { hdr: *header, ..Default::default() };
        parameters.hdr.type_of_loader = OTHER_LOADER;
        parameters.hdr.loadflags |= LOADED_HIGH;
        parameters.hdr.cmd_line_ptr = below_4_gib(COMMAND_LINE);
        if let Some((address, length)) = self.initrd {
            parameters.hdr.ramdisk_image = below_4_gib(address);
            parameters.hdr.ramdisk_size = below_4_gib(length);
        }
        parameters.acpi_rsdp_addr = self.tables;
        let map = memory_map(self.ram);
        for (entry, (range, what)) in parameters.e820_table.iter_mut().zip(&map) {
            *entry = boot_e820_entry {
                addr: range.start,
                size: range.end - range.start,
                r#type: what.number(),
            };
        }
        parameters.e820_entries = u8::try_from(map.len()).unwrap_or(0);
        self.ram.map().write_obj(parameters, GuestAddress(BOOT_PARAMETERS))?;
        self.flat(begin, 0, BOOT_PARAMETERS)
    }

    fn flat(&self, code: u64, ebx: u64, esi: u64) -> Result<FlatEntry, BootError> {
        let mut at = DESCRIPTORS;
        for descriptor in SEGMENTS {
            self.ram.map().write_obj(descriptor, GuestAddress(at))?;
            at += size_of::<u64>() as u64;
        }
        let limit = u16::try_from(size_of_val(&SEGMENTS) - 1).unwrap_or(0);
        Ok(FlatEntry { code, stack: START_INFO, ebx, esi, descriptors: (DESCRIPTORS, limit) })
    }
}

/// All that a kernel is told lies in low memory, which ends below 4 GiB.
fn below_4_gib(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

// What lies in low memory has room for itself.
const _: () = assert!(DESCRIPTORS + size_of::<[u64; 4]>() as u64 <= START_INFO);
const _: () = assert!(START_INFO + size_of::<hvm_start_info>() as u64 <= MODULES);
const _: () = assert!(MODULES + size_of::<hvm_modlist_entry>() as u64 <= MEMORY_MAP);
const _: () =
    assert!(BOOT_PARAMETERS + size_of::<boot_params>() as u64 <= BOOT_PARAMETERS + PAGE_SIZE);
