//! Guest memory of atomic words, with a software dirty log.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{DirtySink, GuestMemory, MachineError, MemoryLayout, PageIndex};

/// 64-bit words in a page.
pub(crate) const WORDS: u64 = PAGE_SIZE / 8;

/// Memory with a hole in it, as a PC has.
#[derive(Debug)]
pub(crate) struct Memory {
    layout: MemoryLayout,
    ranges: Vec<(Range<u64>, Box<[AtomicU64]>)>,
    dirty: Box<[AtomicU64]>,
    logging: AtomicBool,
}

impl Memory {
    pub(crate) fn new(layout: &MemoryLayout) -> Self {
        let zeros = |count: u64| (0..count).map(|_| AtomicU64::new(0)).collect::<Box<[_]>>();
        let ranges = layout.ranges().iter();
        Self {
            ranges: ranges
                .map(|range| (range.clone(), zeros((range.end - range.start) * WORDS)))
                .collect(),
            dirty: zeros(layout.end() / 64),
            layout: layout.clone(),
            logging: AtomicBool::new(false),
        }
    }

    fn words(&self, first: PageIndex, count: u64) -> Result<&[AtomicU64], MachineError> {
        let end = first.0 + count;
        let (range, words) = self
            .ranges
            .iter()
            .find(|(range, _)| range.start <= first.0 && end <= range.end)
            .ok_or("no such memory")?;
        let at = |page: u64| usize::try_from((page - range.start) * WORDS);
        Ok(&words[at(first.0)?..at(end)?])
    }

    /// Word `word` of `page`.
    pub(crate) fn load(&self, page: u64, word: u64) -> u64 {
        let words = self.words(PageIndex(page), 1).unwrap();
        words[usize::try_from(word).unwrap()].load(Ordering::Relaxed)
    }

    /// Writes words of one page as a guest does, and notes it *after* the write: noted before, a harvest in between
    /// would take the note and send the page as it was.
    pub(crate) fn store(&self, page: u64, words: &[u64], value: u64) {
        let slots = self.words(PageIndex(page), 1).unwrap();
        for word in words {
            slots[usize::try_from(*word).unwrap()].store(value, Ordering::Relaxed);
        }
        self.dirty[usize::try_from(page / 64).unwrap()]
            .fetch_or(1 << (page % 64), Ordering::AcqRel);
    }

    pub(crate) fn is_logging(&self) -> bool {
        self.logging.load(Ordering::Acquire)
    }

    pub(crate) fn set_logging(&self, on: bool) {
        for word in &self.dirty {
            word.store(0, Ordering::Release);
        }
        self.logging.store(on, Ordering::Release);
    }

    pub(crate) fn harvest(&self, sink: &mut dyn DirtySink) {
        assert!(self.is_logging(), "harvested although the log is off");
        for (number, word) in (0..).zip(&self.dirty) {
            let bits = word.swap(0, Ordering::AcqRel);
            if bits != 0 {
                sink.mark(number, bits);
            }
        }
    }
}

impl GuestMemory for Memory {
    fn layout(&self) -> &MemoryLayout {
        &self.layout
    }

    fn read_pages(&self, first: PageIndex, buffer: &mut [u8]) -> Result<(), MachineError> {
        let words = self.words(first, buffer.len() as u64 / PAGE_SIZE)?;
        for (bytes, word) in buffer.chunks_exact_mut(8).zip(words) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        Ok(())
    }

    fn write_pages(&self, first: PageIndex, data: &[u8]) -> Result<(), MachineError> {
        let words = self.words(first, data.len() as u64 / PAGE_SIZE)?;
        for (bytes, word) in data.chunks_exact(8).zip(words) {
            word.store(u64::from_le_bytes(bytes.try_into()?), Ordering::Relaxed);
        }
        Ok(())
    }

    fn zero_pages(&self, first: PageIndex, count: u64) -> Result<(), MachineError> {
        for word in self.words(first, count)? {
            if word.load(Ordering::Relaxed) != 0 {
                word.store(0, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
