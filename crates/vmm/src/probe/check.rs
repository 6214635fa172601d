//! Verifies a stopped probe guest, page by page.

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{GuestMemory, PageIndex};
use landfall_qmp::{GuestCheck, VcpuCheck};

use super::image::{ProbeError, first_seed, pattern_word};
use super::layout::{
    ADDRESS_MASK, CHUNK_PAGES, ControlBlock, INCREMENT, MULTIPLIER, Plan, SEQUENCE_ONE, VcpuRange,
};
use super::workload::Pattern;
use crate::memory::{GuestRam, MemoryError};

/// Checks every page of a stopped guest.
///
/// # Errors
/// When guest memory cannot be read. That something is wrong with the guest is no error, but said in the result.
pub fn check(plan: &Plan, ram: &GuestRam) -> Result<GuestCheck, ProbeError> {
    let mut found = GuestCheck {
        integrity: "ok".to_owned(),
        violations: 0,
        pages_checked: 0,
        vcpus: Vec::new(),
    };
    let mut faults = Vec::new();
    for (index, range) in plan.vcpus.iter().enumerate() {
        let violations = range.get(ram, ControlBlock::Violations)?;
        if violations > 0 {
            faults.push(format!(
                "vCPU {index} found {violations} pages wrong, the last at {:#x}: {:#018x} instead of {:#018x}",
                range.get(ram, ControlBlock::BadPage)?,
                range.get(ram, ControlBlock::BadFound)?,
                range.get(ram, ControlBlock::BadExpected)?,
            ));
        }
        found.violations += violations;
        found.pages_checked += range.pages;
        faults.extend(check_words(range, ram)?);
        faults.extend(check_numbers(index as u64, range, ram)?);
        faults.extend(check_patterns(range, ram)?);
        found.vcpus.push(VcpuCheck {
            heartbeat: range.get(ram, ControlBlock::Heartbeat)?,
            work: range.get(ram, ControlBlock::Work)?,
        });
    }
    if !faults.is_empty() {
        let shown = faults.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        let more = faults.len().saturating_sub(3);
        found.integrity = if more > 0 { format!("{shown}; and {more} more") } else { shown };
    }
    Ok(found)
}

fn words<'a>(
    range: &'a VcpuRange,
    ram: &'a GuestRam,
) -> impl Iterator<Item = Result<(u64, u64), MemoryError>> + 'a {
    (0..range.pages).map(|page| {
        let address = range.base + page * PAGE_SIZE;
        Ok((address, ram.load(address)?))
    })
}

/// Each page must hold its own address, and the sequence number that the guest's progress says.
fn check_words(range: &VcpuRange, ram: &GuestRam) -> Result<Vec<String>, MemoryError> {
    let mut faults = Vec::new();
    let mut wrong = |address: u64, word: u64, expected: u64| {
        faults.push(format!("page {address:#x} holds {word:#018x} instead of {expected:#018x}"));
    };
    match range.pattern {
        Pattern::Compute => {}
        Pattern::ReadOnly => {
            for word in words(range, ram) {
                let (address, word) = word?;
                if word != address {
                    wrong(address, word, address);
                }
            }
        }
        Pattern::Random | Pattern::HotCold => {
            let mut under_way = 0;
            for (page, word) in (0..).zip(words(range, ram)) {
                let (address, word) = word?;
                let expected = ram.load(range.ledger_entry(page))?;
                // The guest writes a page first and its ledger entry next: one page may be between the two.
                if word == expected.wrapping_add(SEQUENCE_ONE) && under_way == 0 {
                    under_way += 1;
                } else if word != expected || word & ADDRESS_MASK != address {
                    wrong(address, word, expected);
                }
            }
        }
        Pattern::Sweep => {
            let lap = range.get(ram, ControlBlock::Lap)?;
            let cursor = range.get(ram, ControlBlock::Cursor)?;
            // The cursor still stands at the end of the lap before while the first chunk of a lap is under way.
            let done =
                if cursor >= range.base + range.pages * PAGE_SIZE { range.base } else { cursor };
            let in_chunk = done..done + CHUNK_PAGES * PAGE_SIZE;
            let mut step = false;
            let whole_lap = cursor != done && lap_complete(range, ram, lap)?;
            for word in words(range, ram) {
                let (address, word) = word?;
                let old = (lap << 40).wrapping_add(address);
                let new = old.wrapping_add(SEQUENCE_ONE);
                // Within the chunk under way the guest has come as far as the first page that is still old.
                let under_way = in_chunk.contains(&address) && !step && word == new;
                let visited = whole_lap || address < in_chunk.start || under_way;
                step |= !visited;
                let expected = if visited { new } else { old };
                if word != expected {
                    wrong(address, word, expected);
                }
            }
        }
    }
    Ok(faults)
}

/// The random numbers of a vCPU that computes must have come as far as its count of work says: its registers arrived.
fn check_numbers(
    index: u64,
    range: &VcpuRange,
    ram: &GuestRam,
) -> Result<Option<String>, MemoryError> {
    if range.pattern != Pattern::Compute {
        return Ok(None);
    }
    let (seed, work) = (range.get(ram, ControlBlock::Seed)?, range.get(ram, ControlBlock::Work)?);
    // It notes the number first and counts the chunk next.
    let counted = advanced(first_seed(index), work);
    let right = seed == counted || seed == advanced(counted, CHUNK_PAGES);
    Ok((!right).then(|| {
        format!("vCPU {index} has computed {seed:#018x} in {work} steps instead of {counted:#018x}")
    }))
}

/// Random number `steps` after `seed`, by squaring the step.
fn advanced(seed: u64, mut steps: u64) -> u64 {
    let (mut factor, mut addend) = (MULTIPLIER, INCREMENT);
    let mut number = seed;
    while steps > 0 {
        if steps & 1 == 1 {
            number = number.wrapping_mul(factor).wrapping_add(addend);
        }
        addend = addend.wrapping_mul(factor.wrapping_add(1));
        factor = factor.wrapping_mul(factor);
        steps >>= 1;
    }
    number
}

/// Whether a sweep has written its last page and not yet counted the lap.
fn lap_complete(range: &VcpuRange, ram: &GuestRam, lap: u64) -> Result<bool, MemoryError> {
    let last = range.base + (range.pages - 1) * PAGE_SIZE;
    Ok(ram.load(last)? == (lap << 40).wrapping_add(last).wrapping_add(SEQUENCE_ONE))
}

fn check_patterns(range: &VcpuRange, ram: &GuestRam) -> Result<Vec<String>, ProbeError> {
    let mut faults = Vec::new();
    let mut page = [0u8; 4096];
    for number in 0..range.pages {
        let address = range.base + number * PAGE_SIZE;
        ram.read_pages(PageIndex(address / PAGE_SIZE), &mut page).map_err(ProbeError::Pages)?;
        let wrong = (0u64..)
            .zip(page.chunks_exact(8))
            .skip(1)
            .find(|(word, bytes)| *bytes != pattern_word(address, *word).to_le_bytes());
        if let Some((word, _)) = wrong {
            faults.push(format!("the pattern of page {address:#x} is broken at byte {}", word * 8));
        }
    }
    Ok(faults)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
