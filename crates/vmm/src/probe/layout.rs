//! Where everything of a probe guest lies in its memory.

use std::ops::Range;

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_migrate::machine::{GuestMemory, PageIndex};
use serde::{Deserialize, Serialize};

use super::workload::{Pattern, Workload};
use crate::memory::{GuestRam, MemoryError};

/// Pages visited between two heartbeats; a multiple of the sixteen that a sweep visits without a loop.
pub(crate) const CHUNK_PAGES: u64 = 32;
/// One in the sequence number of a page's word.
pub(crate) const SEQUENCE_ONE: u64 = 1 << 40;
/// The part of a page's word that holds its address.
pub(crate) const ADDRESS_MASK: u64 = SEQUENCE_ONE - 1;

/// The random numbers: each is the one before times this,
pub(crate) const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
/// plus this.
pub(crate) const INCREMENT: u64 = 1_442_695_040_888_963_407;
/// The bits of a random number that are all zero for one write in eight: the one that need not hit the hot part. Others
/// than those that choose the page.
pub(crate) const COLD_MASK: u64 = 0xE000_0000;

const CONTROL_BLOCKS: u64 = 0x1_0000;
/// The most vCPUs of a probe guest.
const MAX_VCPUS: usize = 64;
/// The tables of the guest's pages: one PML4, one PDPT, and a page directory a GiB.
pub const ROOT_TABLE: u64 = 0x10_0000;
/// The most memory that the page tables reach.
pub(super) const MAX_MEMORY: Bytes = Bytes(64 << 30);
const LEDGERS: u64 = 0x20_0000;
const RANGE_ALIGNMENT: u64 = 0x20_0000;

/// What lies where in a vCPU's control block, one page that the guest and the monitor share: offsets in bytes of
/// 64-bit words. The guest's stack grows down from the page's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum ControlBlock {
    /// Address of the first page of the range.
    Base = 0x00,
    /// Chunks of pages in the range.
    Chunks = 0x08,
    /// Pages in the range.
    Pages = 0x10,
    /// [`Pattern`] as a number.
    Pattern = 0x18,
    /// Address of the ledger: the word that each page of the range must hold, for a random workload.
    Ledger = 0x20,
    /// State of the random numbers.
    Seed = 0x28,
    /// TSC ticks a chunk; 0 for full speed.
    Pace = 0x30,
    /// TSC ticks of a burst; 0 for working all the time.
    BurstOn = 0x38,
    /// TSC ticks of rest after a burst.
    BurstOff = 0x40,
    /// The vCPU's number.
    Index = 0x48,
    /// Chunks done and waits polled: proof of life.
    Heartbeat = 0x50,
    /// Pages visited: proof of work.
    Work = 0x58,
    /// Sequence number that the pages not yet visited in this lap hold.
    Lap = 0x60,
    /// Address that a sweep has reached, by whole chunks.
    Cursor = 0x68,
    /// Pages found wrong by the guest.
    Violations = 0x70,
    /// Address of the page found wrong last.
    BadPage = 0x78,
    /// What was found there.
    BadFound = 0x80,
    /// What should have been there.
    BadExpected = 0x88,
    /// TSC at the last heartbeat.
    LastBeat = 0x90,
    /// Longest gap between two heartbeats in TSC ticks, until the monitor resets it.
    LongestGap = 0x98,
    /// TSC at which the next chunk is due.
    Due = 0xA0,
    /// TSC at which the burst under way ends.
    BurstEnd = 0xA8,
    /// Pages in the hot part of the range, its begin.
    Hot = 0xB0,
}

/// The range of memory that one vCPU works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VcpuRange {
    /// What the vCPU does.
    pub pattern: Pattern,
    /// Address of the control block.
    pub control: u64,
    /// Address of the first page.
    pub base: u64,
    /// How many pages; a multiple of the pages visited between two heartbeats. None where it only computes.
    pub pages: u64,
    /// Address of the ledger.
    pub ledger: u64,
}

impl VcpuRange {
    /// The address of a word of the control block.
    #[must_use]
    pub fn word(&self, word: ControlBlock) -> u64 {
        self.control + word as u64
    }

    /// Reads a word of the control block.
    ///
    /// # Errors
    /// When the guest has no memory there.
    pub fn get(&self, ram: &GuestRam, word: ControlBlock) -> Result<u64, MemoryError> {
        ram.load(self.word(word))
    }

    /// The address of the page's entry in the ledger.
    #[must_use]
    pub fn ledger_entry(&self, page: u64) -> u64 {
        self.ledger + page * 8
    }
}

/// Where everything of a probe guest lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What the guest does.
    pub workload: Workload,
    /// One entry a vCPU.
    pub vcpus: Vec<VcpuRange>,
}

/// Why a probe guest cannot be laid out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// More vCPUs than there are control blocks for, or none.
    #[error("a probe guest cannot have {0} vCPUs; choose 1 to {MAX_VCPUS}")]
    Vcpus(usize),
    /// More memory than the guest's page tables reach.
    #[error("a probe guest cannot have {0} of memory; choose {MAX_MEMORY} at most")]
    Memory(Bytes),
    /// The working set is smaller than one chunk a vCPU.
    #[error("a working set of {0} is too small; choose at least {1}")]
    TooSmall(Bytes, Bytes),
    /// The hot part is no part.
    #[error(
        "a hot part of {0} in a working set of {1}: choose at least a page a vCPU, and at most all of it"
    )]
    Hot(Bytes, Bytes),
    /// The working set does not fit.
    #[error(
        "a working set of {0} does not fit into the guest; choose more memory or a smaller working set"
    )]
    TooLarge(Bytes),
}

impl Plan {
    /// The pages of the hot part of `range`.
    pub(super) fn hot_pages(&self, range: &VcpuRange) -> u64 {
        let all: u64 = self.vcpus.iter().map(|vcpu| vcpu.pages).sum();
        let hot = self.workload.hot.map_or(all / 8, |hot| hot.whole_pages().0);
        (hot * range.pages / all.max(1)).max(1)
    }

    /// Lays a probe guest with `vcpus` vCPUs out in `ram`.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn new(workload: Workload, vcpus: usize, ram: &GuestRam) -> Result<Self, PlanError> {
        if vcpus == 0 || vcpus > MAX_VCPUS {
            return Err(PlanError::Vcpus(vcpus));
        }
        if ram.size() > MAX_MEMORY {
            return Err(PlanError::Memory(ram.size()));
        }
        let patterns: Vec<_> = (0..vcpus).map(|index| workload.pattern_of(index, vcpus)).collect();
        let pages = pages_each(&workload, &patterns)?;
        let too_large = || PlanError::TooLarge(workload.working_set);
        let ledger_bytes = |pattern: Pattern| {
            if pattern.has_ledger() { (pages * 8).next_multiple_of(PAGE_SIZE) } else { 0 }
        };
        let mut ledger = LEDGERS;
        let ledgers_end = LEDGERS + patterns.iter().map(|it| ledger_bytes(*it)).sum::<u64>();
        let mut free = ledgers_end.next_multiple_of(RANGE_ALIGNMENT);
        let mut ranges = Vec::new();
        for (control, pattern) in control_blocks(vcpus).zip(patterns) {
            let pages = if pattern == Pattern::Compute { 0 } else { pages };
            let base = place(ram, free, pages).ok_or_else(too_large)?;
            free = (base + pages * PAGE_SIZE).next_multiple_of(RANGE_ALIGNMENT);
            ranges.push(VcpuRange { pattern, control, base, pages, ledger });
            ledger += ledger_bytes(pattern);
        }
        if !ram
            .layout()
            .contains_run(PageIndex(LEDGERS / PAGE_SIZE), (ledgers_end - LEDGERS) / PAGE_SIZE)
        {
            return Err(too_large());
        }
        Ok(Self { workload, vcpus: ranges })
    }
}

/// The pages of each vCPU that visits any.
fn pages_each(workload: &Workload, patterns: &[Pattern]) -> Result<u64, PlanError> {
    let visitors = patterns.iter().filter(|pattern| **pattern != Pattern::Compute).count() as u64;
    if visitors == 0 {
        return Ok(0);
    }
    let pages = workload.working_set.whole_pages().0 / visitors / CHUNK_PAGES * CHUNK_PAGES;
    if pages == 0 {
        let least = Bytes(CHUNK_PAGES * PAGE_SIZE * visitors);
        return Err(PlanError::TooSmall(workload.working_set, least));
    }
    if let Some(hot) = workload.hot
        && !(visitors..=pages * visitors).contains(&hot.whole_pages().0)
    {
        return Err(PlanError::Hot(hot, workload.working_set));
    }
    Ok(pages)
}

fn control_blocks(vcpus: usize) -> impl Iterator<Item = u64> {
    (0..vcpus as u64).map(|vcpu| CONTROL_BLOCKS + vcpu * PAGE_SIZE)
}

/// The first address from `free` on where `pages` pages lie in one range of memory.
fn place(ram: &GuestRam, free: u64, pages: u64) -> Option<u64> {
    let starts = ram.layout().ranges().iter().map(|range: &Range<u64>| range.start * PAGE_SIZE);
    starts
        .map(|start| start.max(free))
        .find(|base| ram.layout().contains_run(PageIndex(base / PAGE_SIZE), pages))
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
