//! How much of its memory a guest gives up, and how much it is asked to.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_qmp::BalloonStatistics;

use super::balloon::FIGURE;
use super::configuration::Configuration;

/// Where the guest reads how many pages it is asked for, and where it writes how many it has given up.
const ASKED: usize = 0;
const ACTUAL: usize = 4;

/// Buffers that the guest fills until what it tells is of now: the one that waits is of when it was last asked.
const BUFFERS: u8 = 2;

/// What a guest gives up, and is asked for. One for as long as there is the machine.
pub struct Ballooning {
    /// Pages that the guest has, those that it gives up among them.
    most: u32,
    /// Pages that it is asked for.
    asked: AtomicU32,
    /// Pages that it says that it has given up.
    actual: AtomicU32,
    /// It has said so, and nobody has looked since.
    news: AtomicBool,
    told: Mutex<Told>,
    answered: Condvar,
    /// Called when there is something new to look at.
    changed: Box<dyn Fn() + Send + Sync>,
}

/// What the guest tells of its memory.
#[derive(Debug, Default)]
struct Told {
    /// Buffers that are still to come.
    awaited: u8,
    statistics: BalloonStatistics,
}

impl fmt::Debug for Ballooning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ballooning")
            .field("asked", &self.asked)
            .field("actual", &self.actual)
            .finish_non_exhaustive()
    }
}

impl Ballooning {
    /// Of a guest of `size`, which gives nothing up yet; `changed` is called when that is different.
    #[must_use]
    pub fn new(size: Bytes, changed: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            most: u32::try_from(size.0 / PAGE_SIZE).unwrap_or(u32::MAX),
            asked: AtomicU32::new(0),
            actual: AtomicU32::new(0),
            news: AtomicBool::new(false),
            told: Mutex::default(),
            answered: Condvar::new(),
            changed,
        }
    }

    /// Asks the guest to keep no more than `size`; whether this is something new.
    pub(crate) fn ask_to_keep(&self, size: Bytes) -> bool {
        let kept = u32::try_from(size.0 / PAGE_SIZE).unwrap_or(u32::MAX);
        let asked = self.most.saturating_sub(kept);
        self.asked.swap(asked, Ordering::AcqRel) != asked
    }

    /// What the guest has kept.
    pub(crate) fn kept(&self) -> Bytes {
        self.news.store(false, Ordering::Release);
        let kept = self.most.saturating_sub(self.actual.load(Ordering::Acquire));
        Bytes(u64::from(kept) * PAGE_SIZE)
    }

    /// The pages that the guest is asked for, and those that it has given up: all that travels.
    pub(crate) fn pages(&self) -> (u32, u32) {
        (self.asked.load(Ordering::Acquire), self.actual.load(Ordering::Acquire))
    }

    /// Takes over what [`Ballooning::pages`] gave.
    pub(crate) fn set_pages(&self, (asked, actual): (u32, u32)) {
        self.asked.store(asked, Ordering::Release);
        self.actual.store(actual, Ordering::Release);
    }

    fn told_so_far(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for what the guest tells.
    pub(super) fn is_asking(&self) -> bool {
        self.told_so_far().awaited > 0
    }

    /// Has the guest asked how it uses its memory, by `ask`; `None` where it has not answered after `patience`.
    pub(crate) fn statistics(
        &self,
        ask: impl FnOnce(),
        patience: Duration,
    ) -> Option<BalloonStatistics> {
        self.told_so_far().awaited = BUFFERS;
        ask();
        let waits = |told: &mut Told| told.awaited > 0;
        let told = self.answered.wait_timeout_while(self.told_so_far(), patience, waits);
        let (told, _) = told.unwrap_or_else(PoisonError::into_inner);
        (told.awaited == 0).then(|| told.statistics.clone())
    }

    /// The guest has filled a buffer.
    pub(super) fn told(&self, entries: &[u8]) {
        let mut told = self.told_so_far();
        told.awaited = told.awaited.saturating_sub(1);
        told.statistics = BalloonStatistics::default();
        let (entries, _) = entries.as_chunks::<FIGURE>();
        for [kind_low, kind_high, figure @ ..] in entries {
            let kind = u16::from_le_bytes([*kind_low, *kind_high]);
            told.statistics.set(kind, u64::from_le_bytes(*figure));
        }
        self.answered.notify_all();
    }
}

impl Configuration for Ballooning {
    fn read(&self, offset: usize, data: &mut [u8]) {
        let (asked, actual) = self.pages();
        [asked.to_le_bytes(), actual.to_le_bytes()].concat().read(offset, data);
    }

    fn write(&self, offset: usize, data: &[u8]) {
        let Ok(bytes) = data.try_into() else { return };
        if offset != ACTUAL {
            return;
        }
        let actual = u32::from_le_bytes(bytes);
        let is_new = self.actual.swap(actual, Ordering::AcqRel) != actual;
        // One that has not been looked at yet will be found with the others.
        if is_new && !self.news.swap(true, Ordering::AcqRel) {
            (self.changed)();
        }
    }

    /// It changes with what the guest is asked for, and with nothing else that it does not write itself.
    fn generation(&self) -> u32 {
        self.asked.load(Ordering::Acquire)
    }
}

const _: () = assert!(ASKED == 0 && ACTUAL == size_of::<u32>());
