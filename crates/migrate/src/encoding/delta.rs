//! What has changed in a page since it was sent last, found without keeping what was sent.
//!
//! Of each block of a page that was sent a checksum of 128 bits is kept, an eighth of the page in all. A block whose checksum is
//! still the same is not sent again.

use std::hash::{BuildHasher, Hasher, RandomState};

use twox_hash::XxHash3_128;

use super::PAGE;
use crate::machine::PageIndex;
use crate::wire::{PageRun, WireError};

const BLOCK: usize = 128;
const BLOCKS: usize = PAGE / BLOCK;
/// Checksums that all channels keep together: 40 MiB of them, for 320 MiB of pages.
const PAGES: usize = 80 * 1024;
/// Places that a page may take.
const WAYS: usize = 8;
/// A page that is not sent again any more must not keep its place for long.
const MOST_MERIT: u8 = 3;
const BITMAP_BYTES: usize = 4;
const _: () = assert!(BLOCKS == 8 * BITMAP_BYTES);

/// What is known of the pages that one channel has sent.
#[derive(Debug)]
pub(super) struct Delta {
    /// Nobody outside knows it, so nobody can make blocks that look the same.
    seed: u64,
    sets: usize,
    /// The page in each place, from 1; 0 for none.
    pages: Vec<u64>,
    /// How often the page in each place was sent again, as far as it counts.
    merits: Vec<u8>,
    /// The way whose page is to prove its worth next.
    hand: usize,
    /// Empty until the first page is noted.
    checksums: Vec<[u128; BLOCKS]>,
}

impl Delta {
    pub(super) fn new(channels: u16) -> Self {
        let places = PAGES / usize::from(channels.max(1));
        Self {
            seed: RandomState::new().build_hasher().finish(),
            sets: (places / WAYS).max(1),
            pages: Vec::new(),
            merits: Vec::new(),
            hand: 0,
            checksums: Vec::new(),
        }
    }

    pub(super) fn knows_any(&self) -> bool {
        !self.pages.is_empty()
    }

    pub(super) fn forget_all(&mut self) {
        (self.pages, self.merits, self.checksums) = (Vec::new(), Vec::new(), Vec::new());
    }

    /// Pages were sent as something that is not noted.
    pub(super) fn forget(&mut self, run: PageRun) {
        if self.knows_any() {
            for page in run.first.0..run.first.0 + run.count {
                if let Some(place) = self.place_of(page) {
                    self.pages[place] = 0;
                }
            }
        }
    }

    /// The places that `page` may take.
    fn places(&self, page: u64) -> std::ops::Range<usize> {
        // Neighbours go to neighbouring sets, so that no stretch of memory crowds another out.
        let set = usize::try_from(page % self.sets as u64).unwrap_or(0);
        set * WAYS..(set + 1) * WAYS
    }

    fn place_of(&self, page: u64) -> Option<usize> {
        let places = self.places(page);
        let begin = places.start;
        let found = self.pages.get(places)?.iter().position(|there| *there == page + 1);
        found.map(|way| begin + way)
    }

    /// How many pages from `first` on, `most` at most, are known as the first is, and whether it is.
    pub(super) fn alike(&self, first: PageIndex, most: usize) -> (usize, bool) {
        let known = self.place_of(first.0).is_some();
        let same = (1..most as u64)
            .take_while(|offset| self.place_of(first.0 + offset).is_some() == known)
            .count();
        (1 + same, known)
    }

    /// Appends what has changed in pages that are all known, and notes what they are now.
    pub(super) fn encode(&mut self, first: PageIndex, content: &[u8], packed: &mut Vec<u8>) {
        for (page, bytes) in (first.0..).zip(content.chunks_exact(PAGE)) {
            let Some(place) = self.place_of(page) else { continue };
            self.merits[place] = (self.merits[place] + 1).min(MOST_MERIT);
            let checksums = &mut self.checksums[place];
            let at = packed.len();
            packed.extend([0; BITMAP_BYTES]);
            let mut changed = 0_u32;
            for (number, (block, known)) in
                bytes.chunks_exact(BLOCK).zip(checksums.iter_mut()).enumerate()
            {
                let checksum = XxHash3_128::oneshot_with_seed(self.seed, block);
                if *known != checksum {
                    *known = checksum;
                    changed |= 1 << number;
                    packed.extend_from_slice(block);
                }
            }
            packed[at..at + BITMAP_BYTES].copy_from_slice(&changed.to_le_bytes());
        }
    }

    /// Notes pages that are sent as they are. One that is sent `again` has shown that it is worth a place.
    pub(super) fn note(&mut self, first: PageIndex, content: &[u8], again: bool) {
        if self.pages.is_empty() {
            let places = self.sets * WAYS;
            self.pages = vec![0; places];
            self.merits = vec![0; places];
            self.checksums = vec![[0; BLOCKS]; places];
        }
        for (page, bytes) in (first.0..).zip(content.chunks_exact(PAGE)) {
            let Some(place) = self.place_for(page, again) else { continue };
            self.pages[place] = page + 1;
            self.merits[place] = u8::from(again);
            for (known, block) in self.checksums[place].iter_mut().zip(bytes.chunks_exact(BLOCK)) {
                *known = XxHash3_128::oneshot_with_seed(self.seed, block);
            }
        }
    }

    /// An empty place, or that of a page that was never sent again. Where all were, one of them is worth less next time: a
    /// working set that is larger than what is kept must not drive itself out, page by page.
    fn place_for(&mut self, page: u64, again: bool) -> Option<usize> {
        let places = self.places(page);
        let begin = places.start;
        let empty = self.pages[places.clone()].iter().position(|there| *there == 0);
        if empty.is_some() || !again {
            return empty.map(|way| begin + way);
        }
        let merits = &mut self.merits[places];
        let least = merits.iter().position(|merit| *merit == 0);
        if least.is_none() {
            self.hand = (self.hand + 1) % WAYS;
            merits[self.hand] -= 1;
        }
        least.map(|way| begin + way)
    }
}

/// Brings `page` from what it was to what it is, by the first of `differences`, which are taken off it.
pub(super) fn patch(differences: &mut &[u8], page: &mut [u8]) -> Result<(), WireError> {
    let malformed = WireError::Malformed("differences of a page that are none");
    let Some((bitmap, rest)) = differences.split_first_chunk::<BITMAP_BYTES>() else {
        return Err(malformed);
    };
    let changed = u32::from_le_bytes(*bitmap);
    let blocks = usize::try_from(changed.count_ones()).unwrap_or(BLOCKS) * BLOCK;
    let Some((blocks, rest)) = rest.split_at_checked(blocks) else { return Err(malformed) };
    *differences = rest;
    let numbers = (0..BLOCKS).filter(|number| changed & (1 << number) != 0);
    for (number, block) in numbers.zip(blocks.chunks_exact(BLOCK)) {
        page[number * BLOCK..(number + 1) * BLOCK].copy_from_slice(block);
    }
    Ok(())
}

#[cfg(test)]
#[path = "delta_tests.rs"]
mod tests;
