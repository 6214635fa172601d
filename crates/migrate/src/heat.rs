//! Which pages the guest rewrites all the time, so that they are sent last.
//!
//! A page that is dirty again before it could be of use is sent for nothing, and a cold one waits meanwhile. So a walk
//! sends cold pages first; hot ones go while nothing cold waits, and when the guest stands still.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::machine::MemoryLayout;

/// In less time than this even a page that is rewritten all the time may be found clean.
const LONG_ENOUGH: Duration = Duration::from_millis(40);

/// Which pages were written before each of the last two readings of the dirty log; shared by the one who reads the log
/// and those who send.
///
/// The marks order the sending and nothing else: a page that is marked wrongly, or a mark that is seen late, costs time
/// and loses nothing.
#[derive(Debug)]
pub(crate) struct Heat {
    words: Box<[AtomicU64]>,
    /// Cold pages have become dirty since the walk began.
    cold_came: AtomicBool,
}

impl Heat {
    /// Nothing is hot yet.
    pub(crate) fn new(layout: &MemoryLayout) -> Self {
        let words = (0..layout.end().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { words, cold_came: AtomicBool::new(false) }
    }

    /// The hot pages of a word.
    pub(crate) fn hot(&self, word: usize) -> u64 {
        self.words.get(word).map_or(0, |bits| bits.load(Ordering::Relaxed))
    }

    /// All others.
    pub(crate) fn cold(&self, word: usize) -> u64 {
        !self.hot(word)
    }

    /// A walk begins.
    pub(crate) fn walk_begins(&self) {
        self.cold_came.store(false, Ordering::Relaxed);
    }

    /// Whether it is better to begin the next walk than to go on with hot pages.
    pub(crate) fn cold_waits(&self) -> bool {
        self.cold_came.load(Ordering::Relaxed)
    }
}

/// Compares each reading of the dirty log with the one before.
#[derive(Debug)]
pub(crate) struct Thermometer {
    /// The reading before, and the one under way: a bitmap of each, and its words that are not zero.
    before: Reading,
    now: Reading,
    /// For how long the guest has written what the reading under way found.
    lasted: Duration,
    /// The words of the heat that are not zero.
    marked: Vec<usize>,
}

#[derive(Debug)]
struct Reading {
    bits: Box<[u64]>,
    words: Vec<usize>,
}

impl Reading {
    fn new(words: usize) -> Self {
        Self { bits: vec![0; words].into(), words: Vec::new() }
    }

    fn clear(&mut self) {
        for word in self.words.drain(..) {
            self.bits[word] = 0;
        }
    }
}

impl Thermometer {
    pub(crate) fn new(layout: &MemoryLayout) -> Self {
        let words = usize::try_from(layout.end().div_ceil(64)).unwrap_or(0);
        Self {
            before: Reading::new(words),
            now: Reading::new(words),
            lasted: Duration::ZERO,
            marked: Vec::new(),
        }
    }

    /// The reading under way has found pages `word * 64 + bit` for every bit set.
    pub(crate) fn found(&mut self, word: u64, bits: u64) {
        let Ok(word) = usize::try_from(word) else { return };
        let Some(slot) = self.now.bits.get_mut(word) else { return };
        if *slot == 0 && bits != 0 {
            self.now.words.push(word);
        }
        *slot |= bits;
    }

    /// The log was read, and gave what was written for so long. Readings that follow each other sooner than they should
    /// are taken together.
    pub(crate) fn read(&mut self, heat: &Heat, elapsed: Duration) {
        self.lasted += elapsed;
        if self.lasted < LONG_ENOUGH {
            return;
        }
        self.lasted = Duration::ZERO;
        for word in self.marked.drain(..) {
            heat.words[word].store(0, Ordering::Relaxed);
        }
        let mut cold = false;
        for &word in &self.now.words {
            let hot = self.now.bits[word] & self.before.bits[word];
            cold |= hot != self.now.bits[word];
            if hot != 0 {
                heat.words[word].store(hot, Ordering::Relaxed);
                self.marked.push(word);
            }
        }
        if cold {
            heat.cold_came.store(true, Ordering::Relaxed);
        }
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heat_of(readings: &[&[(u64, u64)]]) -> Heat {
        let layout = MemoryLayout::new(vec![0..128, 128..256]).unwrap();
        let (heat, mut thermometer) = (Heat::new(&layout), Thermometer::new(&layout));
        for reading in readings {
            heat.walk_begins();
            for (word, bits) in *reading {
                thermometer.found(*word, *bits);
            }
            thermometer.read(&heat, LONG_ENOUGH);
        }
        heat
    }

    #[test]
    fn what_two_readings_in_a_row_have_found_is_hot() {
        let heat = heat_of(&[&[(0, 0b0111), (2, 1)], &[(0, 0b1110), (3, 1)]]);
        assert_eq!(heat.hot(0), 0b0110);
        assert_eq!(heat.cold(0), !0b0110);
        assert_eq!((heat.hot(2), heat.hot(3)), (0, 0));
        assert!(heat.cold_waits());
    }

    #[test]
    fn what_is_left_alone_cools_down() {
        let heat = heat_of(&[&[(1, 1)], &[(1, 1)], &[(0, 1)], &[(1, 1)]]);
        assert_eq!((heat.hot(0), heat.hot(1)), (0, 0));
    }

    #[test]
    fn nothing_cold_waits_where_only_hot_pages_were_written() {
        assert!(!heat_of(&[&[(1, 1)], &[(1, 1)]]).cold_waits());
    }

    #[test]
    fn pages_beyond_the_end_are_nobodys() {
        assert_eq!(heat_of(&[&[(9, 1)], &[(9, 1)]]).hot(9), 0);
    }
}
