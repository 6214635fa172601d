//! Which memory the guest has, as its kernel is told.

use std::ops::Range;

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::GuestMemory;

use super::map::{ACPI_ROOM, ACPI_TABLES, HIGH_MEMORY, LOW_MEMORY_END, RESTART_PAGE};
use crate::memory::GuestRam;

/// What a stretch of addresses is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Memory for the kernel.
    Memory,
    /// Not for use.
    Reserved,
    /// Tables that can be overwritten once they are read.
    Acpi,
}

impl Use {
    /// Its number in the maps of PVH and of Linux, which are those of ACPI.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Memory => 1,
            Self::Reserved => 2,
            Self::Acpi => 3,
        }
    }
}

/// All of `ram` from the lowest address on, in stretches of one use.
pub(super) fn memory_map(ram: &GuestRam) -> Vec<(Range<u64>, Use)> {
    let mut map = vec![
        (0..LOW_MEMORY_END, Use::Memory),
        (LOW_MEMORY_END..ACPI_TABLES, Use::Reserved),
        (ACPI_TABLES..ACPI_TABLES + ACPI_ROOM, Use::Acpi),
        (RESTART_PAGE..HIGH_MEMORY, Use::Reserved),
    ];
    for pages in ram.layout().ranges() {
        let begin = (pages.start * PAGE_SIZE).max(HIGH_MEMORY);
        map.push((begin..pages.end * PAGE_SIZE, Use::Memory));
    }
    map
}

const _: () = assert!(ACPI_TABLES + ACPI_ROOM == RESTART_PAGE);
const _: () = assert!(RESTART_PAGE + PAGE_SIZE == HIGH_MEMORY);

/// The end of the memory that a kernel begins in: below the hole for devices.
pub(super) fn low_end(ram: &GuestRam) -> u64 {
    ram.layout().ranges().first().map_or(0, |pages| pages.end * PAGE_SIZE)
}
