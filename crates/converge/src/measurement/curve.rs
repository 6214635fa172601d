//! Distinct pages over windows of every length, from one reading of the dirty log after another.

use std::time::Duration;

use crate::simulator::Rhythm;
use crate::units::{Bytes, PAGE_SIZE};

/// In a tick of rest a guest writes less than this share of what it writes in a busy one.
const RESTING: f64 = 0.1;
/// Fewer pages than this in a busy tick are housekeeping, in whatever rhythm.
const LEAST_BUSY: u64 = 64;

/// Which pages were written in which tick, kept as no more than the distances between two writes of one page.
///
/// A page is missing from a window when the window lies between two of its writes, so the lengths of all the stretches
/// without a write say how many pages are missing from windows of any length, and the rest are in them. Two bytes a page
/// are enough for that, and they are touched only where the guest writes.
#[derive(Clone, Debug)]
pub struct DirtyCurve {
    /// By page: the tick of its latest write, from 1; 0 for none.
    latest: Vec<u16>,
    /// The tick under way, from 1.
    tick: u16,
    /// By tick: pages whose latest write was then.
    latest_in: Vec<u64>,
    /// By length in ticks: stretches without a write, before one.
    gaps: Vec<u64>,
    touched: u64,
    /// Distinct pages of the tick under way, and of those that are over.
    fresh: u64,
    by_tick: Vec<u64>,
    time: Duration,
}

impl DirtyCurve {
    /// For a guest whose highest page has the number `pages` less one.
    #[must_use]
    pub fn new(pages: u64) -> Self {
        Self {
            latest: vec![0; usize::try_from(pages).unwrap_or(0)],
            tick: 1,
            latest_in: vec![0; 2],
            gaps: vec![0; 2],
            touched: 0,
            fresh: 0,
            by_tick: Vec::new(),
            time: Duration::ZERO,
        }
    }

    /// Pages `word * 64 + bit` for every `bit` set in `bits` were written in the tick under way; once or more is the same.
    pub fn mark(&mut self, word: u64, mut bits: u64) {
        while bits != 0 {
            let page = word * 64 + u64::from(bits.trailing_zeros());
            bits &= bits - 1;
            let slot = usize::try_from(page).ok().and_then(|page| self.latest.get_mut(page));
            let Some(latest) = slot.filter(|latest| **latest != self.tick) else { continue };
            if *latest == 0 {
                self.touched += 1;
            } else {
                self.latest_in[usize::from(*latest)] -= 1;
            }
            self.gaps[usize::from(self.tick - 1 - *latest)] += 1;
            self.latest_in[usize::from(self.tick)] += 1;
            self.fresh += 1;
            *latest = self.tick;
        }
    }

    /// Distinct memory written in the tick under way, so far.
    #[must_use]
    pub fn in_this_tick(&self) -> Bytes {
        Bytes(self.fresh * PAGE_SIZE)
    }

    /// The tick under way took `elapsed` and is over; the next begins. Past 65,534 ticks there is no next one, and what is
    /// marked joins the last.
    pub fn end_tick(&mut self, elapsed: Duration) {
        self.time += elapsed;
        self.by_tick.push(std::mem::take(&mut self.fresh));
        if let Some(next) = self.tick.checked_add(1).filter(|next| *next < u16::MAX) {
            self.tick = next;
            self.latest_in.push(0);
            self.gaps.push(0);
        }
    }

    /// How long all ticks took.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.time
    }

    /// All distinct memory written.
    #[must_use]
    pub fn touched(&self) -> Bytes {
        Bytes(self.touched * PAGE_SIZE)
    }

    /// Distinct memory written in windows of one tick, of two, of four, and so on, and of all: the mean over every such
    /// window, wherever it begins.
    #[must_use]
    pub fn windows(&self) -> Vec<(Duration, Bytes)> {
        let ticks = self.by_tick.len().min(usize::from(self.tick));
        if ticks == 0 {
            return Vec::new();
        }
        let mut lengths: Vec<_> = std::iter::successors(Some(1_usize), |length| Some(length * 2))
            .take_while(|length| *length < ticks)
            .collect();
        lengths.push(ticks);
        let whole = self.time.as_secs_f64() / ticks as f64;
        let window = |length| {
            let time = Duration::from_secs_f64(whole * length as f64);
            (time, Bytes(self.distinct(length, ticks) * PAGE_SIZE))
        };
        lengths.into_iter().map(window).collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "a mean is no more than what it is of")]
    fn distinct(&self, length: usize, ticks: usize) -> u64 {
        // A stretch of so many ticks has room for so many windows that miss the page.
        let room = |gap: usize| (gap + 1).saturating_sub(length) as u64;
        let between: u64 = self.gaps.iter().enumerate().map(|(gap, count)| count * room(gap)).sum();
        let since: u64 = (1..=ticks)
            .zip(self.latest_in.iter().skip(1))
            .map(|(tick, count)| count * room(ticks - tick))
            .sum();
        let windows = (ticks - length + 1) as f64;
        self.touched.saturating_sub(((between + since) as f64 / windows).round() as u64)
    }

    /// Whether the guest writes all the time, or in bursts with rests between them. Two whole bursts must have been seen.
    #[must_use]
    pub fn rhythm(&self) -> Rhythm {
        let mut sorted = self.by_tick.clone();
        sorted.sort_unstable();
        let busy = sorted.get(sorted.len() * 9 / 10).copied().unwrap_or(0);
        if busy < LEAST_BUSY {
            return Rhythm::Steady;
        }
        let rests = |pages: &u64| (*pages as f64) < busy as f64 * RESTING;
        let runs: Vec<_> = self.by_tick.chunk_by(|a, b| rests(a) == rests(b)).collect();
        // The first and the last are cut off by the ends of the measurement.
        let whole = runs.get(1..runs.len().saturating_sub(1)).unwrap_or_default();
        let (off, on): (Vec<_>, Vec<_>) = whole.iter().partition(|run| rests(&run[0]));
        if on.len() < 2 || off.is_empty() {
            return Rhythm::Steady;
        }
        let tick = self.time.as_secs_f64() / self.by_tick.len() as f64;
        let mean = |runs: &[&&[u64]]| {
            let ticks: usize = runs.iter().map(|run| run.len()).sum();
            Duration::from_secs_f64(tick * ticks as f64 / runs.len() as f64)
        };
        let (on, off) =
            (mean(&on.iter().collect::<Vec<_>>()), mean(&off.iter().collect::<Vec<_>>()));
        // A single tick of rest is a hiccup of the host rather than a habit of the guest.
        if off.as_secs_f64() < tick * 1.5 { Rhythm::Steady } else { Rhythm::Bursts { on, off } }
    }
}
