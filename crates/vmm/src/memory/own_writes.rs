//! What the monitor itself writes to guest memory.

use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::bitmap::{Bitmap, NewBitmap, RefSlice, WithBitmapSlice};

use super::PAGE;
use super::mapping::Mapping;

/// Pages of one region that were written, one bit each.
///
/// A monitor writes to few pages, and the question which is asked 20 times a second and once while the guest stands still. So
/// beside each 64 words there is one that says which of them have anything: a clean guest of 1 TiB is found clean by looking
/// at 512 KiB.
#[derive(Debug, Default)]
pub struct OwnWrites {
    words: Box<[AtomicU64]>,
    /// One bit for each of `words`, set after those in it.
    written: Box<[AtomicU64]>,
    /// Where the region is, if it did not map itself: who has the region has its bitmap, and so this.
    _mapping: Option<Mapping>,
}

impl OwnWrites {
    /// Of a region of `len` bytes that lies in `mapping`.
    pub(super) fn in_mapping(len: usize, mapping: Mapping) -> Self {
        Self { _mapping: Some(mapping), ..Self::with_len(len) }
    }

    /// Whether any of the pages of these bytes of the region was written.
    pub(super) fn has_any(&self, offset: usize, len: usize) -> bool {
        let Some((first, last)) = pages(offset, len) else { return false };
        (first / 64..=last / 64).any(|number| {
            let word = self.words.get(number).map_or(0, |word| word.load(Ordering::Acquire));
            word & bits_in(number, first, last) != 0
        })
    }

    /// Gives each word of pages with anything in it, by its number in the region, and forgets it.
    pub(super) fn drain(&self, mut give: impl FnMut(u64, u64)) {
        for (group, written) in (0_u64..).step_by(64).zip(&self.written) {
            if written.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // Taken before the words: a write from here on sets its bit again.
            for word in ones(written.swap(0, Ordering::AcqRel)) {
                let number = group + word;
                let bits = usize::try_from(number).ok().and_then(|index| self.words.get(index));
                let bits = bits.map_or(0, |bits| bits.swap(0, Ordering::AcqRel));
                if bits != 0 {
                    give(number, bits);
                }
            }
        }
    }
}

/// The numbers of the bits that are set.
fn ones(mut bits: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| u64::from(bits.trailing_zeros()))?;
        bits &= bits - 1;
        Some(lowest)
    })
}

/// The page of a byte of the region.
fn page(offset: usize) -> usize {
    offset / PAGE
}

/// The first and the last page of so many bytes.
fn pages(offset: usize, len: usize) -> Option<(usize, usize)> {
    Some((page(offset), page(offset.saturating_add(len.checked_sub(1)?))))
}

/// Those bits of word `number` that stand for pages from `first` to `last`, some of which are in it.
fn bits_in(number: usize, first: usize, last: usize) -> u64 {
    let from = first.saturating_sub(number * 64);
    let to = (last - number * 64).min(63);
    (u64::MAX << from) & (u64::MAX >> (63 - to))
}

impl NewBitmap for OwnWrites {
    fn with_len(len: usize) -> Self {
        let none = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        let words = len.div_ceil(PAGE).div_ceil(64);
        Self { words: none(words), written: none(words.div_ceil(64)), _mapping: None }
    }
}

impl<'a> WithBitmapSlice<'a> for OwnWrites {
    type S = RefSlice<'a, Self>;
}

impl Bitmap for OwnWrites {
    /// Called after the write. What lies beyond the region is left out.
    fn mark_dirty(&self, offset: usize, len: usize) {
        let Some((first, last)) = pages(offset, len) else { return };
        for number in first / 64..=(last / 64).min(self.words.len().saturating_sub(1)) {
            let (Some(word), Some(written)) =
                (self.words.get(number), self.written.get(number / 64))
            else {
                return;
            };
            word.fetch_or(bits_in(number, first, last), Ordering::Release);
            written.fetch_or(1 << (number % 64), Ordering::Release);
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        let bits = self.words.get(page(offset) / 64).map_or(0, |word| word.load(Ordering::Acquire));
        bits >> (page(offset) % 64) & 1 == 1
    }

    fn slice_at(&self, offset: usize) -> RefSlice<'_, Self> {
        RefSlice::new(self, offset)
    }
}

#[cfg(test)]
#[path = "own_writes_tests.rs"]
mod tests;
