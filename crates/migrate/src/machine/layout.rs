//! Where a guest has memory.

use std::ops::Range;

use landfall_converge::Pages;
use serde::{Deserialize, Serialize};

use super::PageIndex;

/// Where a guest has memory: ranges of pages, ascending, apart from each other, each beginning and ending at a
/// multiple of 64 pages so that a word of a bitmap never spans two of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLayout {
    ranges: Vec<Range<u64>>,
}

/// Why ranges of pages are no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A range is empty, or does not begin and end at a multiple of 64 pages.
    #[error("the memory range of pages {0:?} is empty or not a multiple of 64 pages")]
    Unaligned(Range<u64>),
    /// A range begins before the previous one ended.
    #[error("the memory range of pages {0:?} overlaps the one before it, or comes before it")]
    Order(Range<u64>),
}

impl MemoryLayout {
    /// A layout of ranges of guest frame numbers.
    ///
    /// # Errors
    /// When a range is empty, unaligned, out of order or overlaps another.
    pub fn new(ranges: Vec<Range<u64>>) -> Result<Self, LayoutError> {
        let mut end = 0;
        for range in &ranges {
            if range.is_empty() || range.start % 64 != 0 || range.end % 64 != 0 {
                return Err(LayoutError::Unaligned(range.clone()));
            }
            if range.start < end {
                return Err(LayoutError::Order(range.clone()));
            }
            end = range.end;
        }
        Ok(Self { ranges })
    }

    /// The ranges of guest frame numbers.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// How many pages there are.
    #[must_use]
    pub fn pages(&self) -> Pages {
        Pages(self.ranges.iter().map(|range| range.end - range.start).sum())
    }

    /// One past the highest page; the length of a bitmap over all of them.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// Whether `count` pages from `first` all lie in one range.
    #[must_use]
    pub fn contains_run(&self, first: PageIndex, count: u64) -> bool {
        let Some(end) = first.0.checked_add(count) else { return false };
        self.ranges.iter().any(|range| range.start <= first.0 && end <= range.end)
    }
}
