//! The probe guest as a kernel that other monitors can boot: an ELF file with a PVH entry.
//!
//! The file holds guest memory as [`install`] leaves it, so that the guest begins with the very bytes with
//! which it begins under Landfall, and [`check`](super::check()) holds for it.

use std::ops::Range;

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{GuestMemory, MachineError, PageIndex};

use super::image::{ProbeError, install};
use super::layout::{Plan, ROOT_TABLE};
use super::program::{CODE_ADDRESS, program};
use super::stub::{STAGED, STUB_ADDRESS, StubArguments, TRAMPOLINE_ADDRESS, stub, trampoline};
use crate::memory::GuestRam;

/// Size of the file's header, of a program header, and of the note with the entry.
const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const NOTE: usize = 24;
/// The note that gives the address of a 32-bit entry without paging, in Xen's interface for PVH guests.
const PHYS32_ENTRY: u32 = 18;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// Below it firmware works; what the guest has there is moved into place by the stub.
const LOW_MEMORY_END: u64 = ROOT_TABLE;

/// Why there is no such file for a probe guest.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The guest cannot be put into memory.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Memory cannot be read back.
    #[error("the probe's memory cannot be read")]
    Read(#[source] MachineError),
    /// The program has grown into the page from which further vCPUs start.
    #[error("the probe's program is too large to be booted by another monitor")]
    ProgramTooLarge,
}

/// Puts the guest into `ram`, which must be fresh, and gives it as an ELF file. `ticks_per_second` is the frequency of the
/// clock that the guest reads. As many vCPUs as the plan has must be there when it boots.
///
/// # Errors
/// When the guest cannot be put into memory.
pub fn elf(plan: &Plan, ram: &GuestRam, ticks_per_second: u64) -> Result<Vec<u8>, ElfError> {
    install(plan, ram, ticks_per_second)?;
    if CODE_ADDRESS + program().len() as u64 > TRAMPOLINE_ADDRESS {
        return Err(ElfError::ProgramTooLarge);
    }
    let read = |range: &Range<u64>| {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
        let first = PageIndex(range.start / PAGE_SIZE);
        ram.read_pages(first, &mut bytes).map(|()| bytes).map_err(ElfError::Read)
    };
    let first_control = plan.vcpus.iter().map(|range| range.control).min().unwrap_or_default();
    let low = CODE_ADDRESS..first_control + plan.vcpus.len() as u64 * PAGE_SIZE;
    let mut staged = read(&low)?;
    let place = usize::try_from(TRAMPOLINE_ADDRESS - CODE_ADDRESS).unwrap_or_default();
    staged[place..place + trampoline().len()].copy_from_slice(trampoline());
    // All of these lie below `LOW_MEMORY_END` or count what does.
    let word = |value: u64| u32::try_from(value).unwrap_or_default();
    let arguments = StubArguments {
        low_bytes: word(staged.len() as u64),
        vcpus: word(plan.vcpus.len() as u64),
        control: word(first_control),
    };
    let mut segments = vec![(u64::from(STUB_ADDRESS), stub(arguments)), (STAGED, staged)];
    for range in touched(ram) {
        segments.push((range.start, read(&range)?));
    }
    Ok(file(&segments))
}

/// The stretches of memory above low memory that anything was written to, in bytes.
fn touched(ram: &GuestRam) -> Vec<Range<u64>> {
    let mut stretches: Vec<Range<u64>> = Vec::new();
    let pages = ram.layout().ranges().iter().flat_map(|range: &Range<u64>| range.clone());
    for page in pages.filter(|page| page * PAGE_SIZE >= LOW_MEMORY_END) {
        if ram.is_untouched(PageIndex(page), 1) {
            continue;
        }
        let address = page * PAGE_SIZE;
        match stretches.last_mut() {
            Some(last) if last.end == address => last.end += PAGE_SIZE,
            _ => stretches.push(address..address + PAGE_SIZE),
        }
    }
    stretches
}

fn file(segments: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let note_offset = HEADER + PROGRAM_HEADER * (segments.len() + 1);
    let mut file = header(segments.len() + 1);
    file.extend(program_header(PT_NOTE, note_offset, 0, NOTE, 4));
    let mut offset = aligned(note_offset + NOTE);
    for (address, bytes) in segments {
        file.extend(program_header(PT_LOAD, offset, *address, bytes.len(), PAGE_SIZE));
        offset = aligned(offset + bytes.len());
    }
    file.extend(note());
    for (_, bytes) in segments {
        file.resize(aligned(file.len()), 0);
        file.extend(bytes);
    }
    file
}

fn aligned(offset: usize) -> usize {
    offset.next_multiple_of(4096)
}

/// An executable for x86-64, entered at the stub.
fn header(program_headers: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(HEADER);
    // 64 bits, little-endian, version 1.
    header.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    header.extend(2_u16.to_le_bytes());
    header.extend(62_u16.to_le_bytes());
    header.extend(1_u32.to_le_bytes());
    header.extend(u64::from(STUB_ADDRESS).to_le_bytes());
    header.extend((HEADER as u64).to_le_bytes());
    // No sections, no flags.
    header.extend(0_u64.to_le_bytes());
    header.extend(0_u32.to_le_bytes());
    let count = u16::try_from(program_headers).unwrap_or(u16::MAX);
    for half in [64, 56, count, 0, 0, 0] {
        header.extend(half.to_le_bytes());
    }
    header
}

fn program_header(kind: u32, offset: usize, address: u64, size: usize, alignment: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(PROGRAM_HEADER);
    header.extend(kind.to_le_bytes());
    // Readable, writable, executable.
    header.extend(7_u32.to_le_bytes());
    for word in [offset as u64, address, address, size as u64, size as u64, alignment] {
        header.extend(word.to_le_bytes());
    }
    header
}

fn note() -> Vec<u8> {
    let mut note = Vec::with_capacity(NOTE);
    for word in [4, 8, PHYS32_ENTRY] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend(u64::from(STUB_ADDRESS).to_le_bytes());
    note
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
