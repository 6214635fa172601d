//! Puts a probe guest into memory.

use std::time::Duration;

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{GuestMemory, MachineError, PageIndex};

use super::layout::{CHUNK_PAGES, ControlBlock, MAX_MEMORY, Plan, ROOT_TABLE, VcpuRange};
use super::program::{CODE_ADDRESS, program};
use super::workload::Pattern;
use crate::memory::{GuestRam, MemoryError};
use vm_memory::{Bytes as _, GuestAddress};

const PRESENT_WRITABLE: u64 = 0b11;
const HUGE: u64 = 1 << 7;
const GIB: u64 = 1 << 30;

/// Why a probe guest could not be put into memory.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Guest memory could not be written.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// Guest memory could not be written.
    #[error("the probe program could not be written into guest memory")]
    Write(#[from] vm_memory::GuestMemoryError),
    /// Pages could not be written.
    #[error("the probe's pages could not be written into guest memory")]
    Pages(#[source] MachineError),
}

/// Writes program, page tables, control blocks and every page of the working set. `ticks_per_second` is the frequency
/// of the clock that the guest reads.
///
/// # Errors
/// When guest memory cannot be written.
pub fn install(plan: &Plan, ram: &GuestRam, ticks_per_second: u64) -> Result<(), ProbeError> {
    ram.map().write_slice(program(), GuestAddress(CODE_ADDRESS))?;
    write_page_tables(ram)?;
    for (index, range) in plan.vcpus.iter().enumerate() {
        write_control_block(plan, range, index as u64, ram, ticks_per_second)?;
        write_pages(range, ram)?;
    }
    Ok(())
}

/// An identity map of everything below `MAX_MEMORY` by 2 MiB pages.
fn write_page_tables(ram: &GuestRam) -> Result<(), MemoryError> {
    let pdpt = ROOT_TABLE + PAGE_SIZE;
    ram.store(ROOT_TABLE, pdpt | PRESENT_WRITABLE)?;
    let gibs = (ram.layout().end() * PAGE_SIZE).min(MAX_MEMORY.0 + GIB).div_ceil(GIB);
    for gib in 0..gibs {
        let directory = pdpt + PAGE_SIZE * (1 + gib);
        ram.store(pdpt + gib * 8, directory | PRESENT_WRITABLE)?;
        for entry in 0..512 {
            let address = gib * GIB + entry * (2 << 20);
            ram.store(directory + entry * 8, address | PRESENT_WRITABLE | HUGE)?;
        }
    }
    Ok(())
}

fn write_control_block(
    plan: &Plan,
    range: &VcpuRange,
    index: u64,
    ram: &GuestRam,
    ticks_per_second: u64,
) -> Result<(), MemoryError> {
    let (pace, on, off) = timing(plan, range.pattern, ticks_per_second);
    use ControlBlock as Word;
    for (word, value) in [
        (Word::Base, range.base),
        (Word::Chunks, range.pages / CHUNK_PAGES),
        (Word::Pages, range.pages),
        (Word::Pattern, pattern_number(range.pattern)),
        (Word::Ledger, range.ledger),
        (Word::Seed, first_seed(index)),
        (Word::Hot, plan.hot_pages(range)),
        (Word::Pace, pace),
        (Word::BurstOn, on),
        (Word::BurstOff, off),
        (Word::Index, index),
        (Word::Cursor, range.base),
    ] {
        ram.store(range.word(word), value)?;
    }
    Ok(())
}

/// Ticks a chunk, of a burst and of the rest after it; zero where there is no such thing.
fn timing(plan: &Plan, pattern: Pattern, ticks_per_second: u64) -> (u64, u64, u64) {
    // It has no pages to be counted.
    if pattern == Pattern::Compute {
        return (0, 0, 0);
    }
    let ticks = |time: Duration| {
        u64::try_from(time.as_nanos() * u128::from(ticks_per_second) / 1_000_000_000)
            .unwrap_or(u64::MAX)
    };
    let visitors = plan.vcpus.iter().filter(|vcpu| vcpu.pages > 0).count();
    let pace = plan.workload.rate.map_or(0, |rate| {
        let chunks_per_second = rate.pages_per_second() / visitors as f64 / CHUNK_PAGES as f64;
        ticks(Duration::from_secs_f64((1.0 / chunks_per_second).min(3600.0))).max(1)
    });
    let (on, off) =
        plan.workload.burst.map_or((0, 0), |burst| (ticks(burst.on).max(1), ticks(burst.off)));
    (pace, on, off)
}

/// The state of vCPU `index`'s random numbers when it begins.
pub(super) const fn first_seed(index: u64) -> u64 {
    index.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66
}

/// How the program knows a pattern.
const fn pattern_number(pattern: Pattern) -> u64 {
    match pattern {
        Pattern::Sweep => 0,
        Pattern::Random => 1,
        Pattern::ReadOnly => 2,
        Pattern::HotCold => 3,
        Pattern::Compute => 4,
    }
}

/// Word `word` (1 to 511) of the page at `address`: never repeats, compresses badly.
pub(super) fn pattern_word(address: u64, word: u64) -> u64 {
    let mut z = (address | word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

fn write_pages(range: &VcpuRange, ram: &GuestRam) -> Result<(), ProbeError> {
    let mut page = [0u8; 4096];
    for number in 0..range.pages {
        let address = range.base + number * PAGE_SIZE;
        page[..8].copy_from_slice(&address.to_le_bytes());
        for (word, bytes) in (0u64..).zip(page.chunks_exact_mut(8)).skip(1) {
            bytes.copy_from_slice(&pattern_word(address, word).to_le_bytes());
        }
        ram.write_pages(PageIndex(address / PAGE_SIZE), &page).map_err(ProbeError::Pages)?;
        if range.pattern.has_ledger() {
            ram.store(range.ledger_entry(number), address)?;
        }
    }
    Ok(())
}
