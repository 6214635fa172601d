//! The pages still to send, and the rules that keep an old copy from overtaking a new one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landfall_converge::{DirtyWindow, Pages};

use crate::machine::{MemoryLayout, PageIndex};
use crate::wire::PageRun;

const WORD_PAGES: u64 = 64;
/// Words that one bit of a group each stands for.
const GROUP_WORDS: u64 = 64;
/// Pages that always use the same channel together: 2 MiB, so that each channel gets long runs.
const CHANNEL_CHUNK_PAGES: u64 = 512;

/// The channel that a page uses, always the same one: what is sent later on a channel arrives later, so an old copy of
/// a page can never overtake a new one.
#[must_use]
pub fn channel_of(page: PageIndex, channels: u16) -> u16 {
    let chunk = page.0 / CHANNEL_CHUNK_PAGES;
    u16::try_from(chunk % u64::from(channels.max(1))).unwrap_or(0)
}

/// A set of pages, shared by the one who harvests the dirty log and those who send.
///
/// A sender takes a page *before* it reads its content. A write that comes after the reading is in the dirty log and so
/// comes back with a later harvest; taken after the reading, the mark of such a write would be lost.
///
/// While a guest stands still, the set is walked through twice, and there is next to nothing in it. So that this does not take
/// the longer the larger the guest is, there is a bit for each word that has anything: of 1 TiB, 512 KiB are looked at.
#[derive(Debug)]
pub struct DirtySet {
    words: Box<[AtomicU64]>,
    /// A bit for each of `words` that may have anything.
    groups: Box<[AtomicU64]>,
    layout: MemoryLayout,
    pages: AtomicU64,
}

impl DirtySet {
    /// An empty set of the pages of `layout`.
    #[must_use]
    pub fn empty(layout: &MemoryLayout) -> Self {
        let none = |count: u64| (0..count).map(|_| AtomicU64::new(0)).collect();
        let words = layout.end().div_ceil(WORD_PAGES);
        Self {
            words: none(words),
            groups: none(words.div_ceil(GROUP_WORDS)),
            layout: layout.clone(),
            pages: AtomicU64::new(0),
        }
    }

    /// The set of all pages of `layout`.
    #[must_use]
    pub fn full(layout: &MemoryLayout) -> Self {
        let set = Self::empty(layout);
        for range in layout.ranges() {
            for word in range.start / WORD_PAGES..range.end / WORD_PAGES {
                set.merge(word, u64::MAX);
            }
        }
        set
    }

    /// How many pages are in it.
    #[must_use]
    pub fn pages(&self) -> Pages {
        Pages(self.pages.load(Ordering::Acquire))
    }

    /// Adds pages `word * 64 + bit` for every bit set; gives how many were not in it already. Pages where the guest has
    /// no memory are left out.
    pub fn merge(&self, word: u64, bits: u64) -> Pages {
        let slot = usize::try_from(word).ok().and_then(|index| self.words.get(index));
        let Some(slot) = slot.filter(|_| self.layout.contains_run(PageIndex(word * WORD_PAGES), 1))
        else {
            return Pages(0);
        };
        // The count goes up first: a sender that takes the bit at once must not bring it below zero.
        let offered = u64::from(bits.count_ones());
        self.pages.fetch_add(offered, Ordering::AcqRel);
        let before = slot.fetch_or(bits, Ordering::AcqRel);
        // After the word: who takes this bit off looks at the word once more.
        self.note(word);
        let newly = u64::from((bits & !before).count_ones());
        self.pages.fetch_sub(offered - newly, Ordering::AcqRel);
        Pages(newly)
    }

    /// Takes the first run of pages at or after `from` that belongs to `channel` of `channels`, `most` pages at most, of
    /// those only that `wanted` gives for their word.
    #[must_use]
    pub fn take_run(
        &self,
        from: PageIndex,
        most: u64,
        channel: u16,
        channels: u16,
        wanted: impl Fn(usize) -> u64,
    ) -> Option<PageRun> {
        let mut page = from.0;
        while page < self.layout.end() {
            let word = self.noted_from(page / WORD_PAGES)?;
            page = page.max(word * WORD_PAGES);
            if channel_of(PageIndex(page), channels) != channel {
                page = (page / CHANNEL_CHUNK_PAGES + 1) * CHANNEL_CHUNK_PAGES;
                continue;
            }
            let index = usize::try_from(word).ok()?;
            let slot = self.words.get(index)?;
            let shift = page % WORD_PAGES;
            let dirty = slot.load(Ordering::Relaxed);
            let ahead = if dirty == 0 { 0 } else { (dirty & wanted(index)) >> shift };
            if ahead == 0 {
                page = (word + 1) * WORD_PAGES;
                continue;
            }
            let skip = u64::from(ahead.trailing_zeros());
            let count =
                u64::from((!(ahead >> skip)).trailing_zeros()).min(most.clamp(1, WORD_PAGES));
            let ones = if count == WORD_PAGES { u64::MAX } else { (1 << count) - 1 };
            let taken = ones << (shift + skip);
            // Only the sender of this channel takes bits of this word, so those that it has seen are still there.
            if slot.fetch_and(!taken, Ordering::AcqRel) & !taken == 0 {
                self.note_empty(word, slot);
            }
            self.pages.fetch_sub(count, Ordering::AcqRel);
            return Some(PageRun { first: PageIndex(page + skip), count });
        }
        None
    }

    /// The pages that are in it, from the first to the last, and stay in it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PageIndex> {
        let mut next = 0;
        let noted = std::iter::from_fn(move || {
            let word = self.noted_from(next)?;
            next = word + 1;
            let slot = usize::try_from(word).ok().and_then(|at| self.words.get(at))?;
            Some((word, slot.load(Ordering::Acquire)))
        });
        noted.flat_map(|(word, bits)| {
            let pages = (0..WORD_PAGES).filter(move |bit| bits >> bit & 1 == 1);
            pages.map(move |bit| PageIndex(word * WORD_PAGES + bit))
        })
    }

    fn group_of(&self, word: u64) -> Option<(&AtomicU64, u64)> {
        let group = usize::try_from(word / GROUP_WORDS).ok().and_then(|at| self.groups.get(at))?;
        Some((group, 1 << (word % GROUP_WORDS)))
    }

    fn note(&self, word: u64) {
        if let Some((group, bit)) = self.group_of(word) {
            group.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// The last pages of a word were taken. Some that came in between must not be overlooked.
    fn note_empty(&self, word: u64, slot: &AtomicU64) {
        let Some((group, bit)) = self.group_of(word) else { return };
        group.fetch_and(!bit, Ordering::AcqRel);
        // Either this sees what was merged, or the bit was set again after it was taken off here.
        if slot.load(Ordering::Acquire) != 0 {
            group.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// The first word at or after `word` that may have anything.
    fn noted_from(&self, word: u64) -> Option<u64> {
        let first = usize::try_from(word / GROUP_WORDS).ok()?;
        let mut mask = u64::MAX << (word % GROUP_WORDS);
        for (number, group) in (word / GROUP_WORDS..).zip(self.groups.get(first..)?) {
            let noted = group.load(Ordering::Acquire) & std::mem::replace(&mut mask, u64::MAX);
            if noted != 0 {
                return Some(number * GROUP_WORDS + u64::from(noted.trailing_zeros()));
            }
        }
        None
    }
}

/// Wall time after which a window begins anew, so that it forgets.
const WINDOW: Duration = Duration::from_secs(1);

/// Distinct pages over several harvests.
#[derive(Debug)]
pub(crate) struct WindowUnion {
    words: Box<[u64]>,
    window: DirtyWindow,
    age: Duration,
}

impl WindowUnion {
    pub(crate) fn new(layout: &MemoryLayout) -> Self {
        let words = usize::try_from(layout.end().div_ceil(WORD_PAGES)).unwrap_or(0);
        Self { words: vec![0; words].into(), window: DirtyWindow::default(), age: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, word: u64, bits: u64) {
        if let Some(slot) = usize::try_from(word).ok().and_then(|index| self.words.get_mut(index)) {
            self.window.distinct += Pages(u64::from((bits & !*slot).count_ones()));
            *slot |= bits;
        }
    }

    /// A harvest that covers `elapsed`, in which the guest ran for `guest_ran`, is complete: the window with it, which
    /// begins anew when it is long enough.
    pub(crate) fn harvested(&mut self, elapsed: Duration, guest_ran: Duration) -> DirtyWindow {
        self.age += elapsed;
        self.window.guest_ran += guest_ran;
        let window = self.window;
        if self.age >= WINDOW {
            self.words.fill(0);
            (self.window, self.age) = (DirtyWindow::default(), Duration::ZERO);
        }
        window
    }
}

#[cfg(test)]
#[path = "dirty_set_tests.rs"]
mod tests;
