//! Over how many of its channels a migration sends: as many as make it faster, which only sending tells.
//!
//! The first pass begins with walks that are left after a moment: over one channel, then over twice as many, and so on, each
//! when all of the one before has arrived. What came over more channels and not sooner decides.

use std::time::{Duration, Instant};

/// How long a walk goes on that is to tell how fast so many channels are. Writes to a link that was still may come faster
/// than it carries for a few of these milliseconds.
const TRIAL: Duration = Duration::from_millis(100);
/// Fewer pages say nothing: 8 MiB of them.
const FEWEST: u64 = 2048;
/// Twice the channels are worth it if they are so much faster: they take more of the processors.
const BETTER: f64 = 1.15;
/// So many walks at most: each ends with waiting for the destination once.
const MOST_TRIALS: u32 = 8;

/// Pages that have left so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Zeros, which hardly take anything.
    pub(super) zeros: u64,
    pub(super) others: u64,
}

/// A walk that is to tell how fast so many channels are.
#[derive(Clone, Copy, Debug)]
struct Trial {
    walk: u32,
    began: Instant,
    left: Left,
    /// Whether it was left, and only has to arrive.
    is_cut: bool,
    /// When all of it had arrived, and what had left by then. That may be heard before it is that the walk was left.
    arrived: Option<(Instant, Left)>,
}

/// The channels that pages go over.
#[derive(Debug)]
pub(super) struct Spread {
    channels: u16,
    most: u16,
    /// Whether walks are to tell how many channels are best.
    tries: bool,
    /// What is best so far, and the pages a second that came over it.
    best: Option<(u16, f64)>,
    trial: Option<Trial>,
    trials: u32,
}

impl Spread {
    /// Over all of `channels`.
    pub(super) fn over(channels: u16) -> Self {
        let (best, trial) = (None, None);
        Self { channels, most: channels, tries: false, best, trial, trials: 0 }
    }

    /// Over as many as make it faster, `most` at most.
    pub(super) fn up_to(most: u16) -> Self {
        Self { channels: 1, tries: most > 1, ..Self::over(most) }
    }

    /// Over so many pages go now, the first ones.
    pub(super) fn channels(&self) -> u16 {
        self.channels
    }

    /// Walk `walk` begins. When it is to be left, if it is one that is to tell something.
    pub(super) fn begins(&mut self, walk: u32, now: Instant, left: Left) -> Option<Instant> {
        if !self.tries {
            return None;
        }
        self.trials += 1;
        self.trial = Some(Trial { walk, began: now, left, is_cut: false, arrived: None });
        Some(now + TRIAL)
    }

    /// The walk under way has left in full, up to where it was cut if it was. Gives whether more of it is to come once this has
    /// arrived.
    pub(super) fn walk_left(&mut self, is_cut: bool) -> bool {
        let Some(trial) = &mut self.trial else { return false };
        trial.is_cut = is_cut;
        if !is_cut {
            // All pages are on their way. What is under way must not be overtaken, so that it stays as it is.
            self.settle();
        }
        is_cut
    }

    /// Whether a walk was cut and has yet to arrive.
    pub(super) fn waits(&self) -> bool {
        self.trial.is_some_and(|trial| trial.is_cut)
    }

    /// All up to the end of walk `walk` has arrived. Gives whether that walk is to be gone on with, over as many channels as
    /// there are to be now.
    pub(super) fn arrived(&mut self, walk: u32, now: Instant, left: Left) -> bool {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.walk == walk) {
            trial.arrived = Some((now, left));
        }
        self.goes_on()
    }

    /// Whether a walk that was cut has arrived, and is to be gone on with now, over as many channels as there are to be.
    pub(super) fn goes_on(&mut self) -> bool {
        let Some(Trial { is_cut: true, arrived: Some((now, left)), began, left: before, .. }) =
            self.trial
        else {
            return false;
        };
        self.trial = None;
        let (zeros, others) = (left.zeros - before.zeros, left.others - before.others);
        let took = now.saturating_duration_since(began).as_secs_f64();
        if others >= FEWEST.max(zeros) && took > 0.0 {
            self.judge(others as f64 / took);
        }
        if self.trials >= MOST_TRIALS {
            self.settle_at_best();
        }
        true
    }

    fn judge(&mut self, rate: f64) {
        if self.best.is_some_and(|(_, best)| rate < BETTER * best) {
            return self.settle_at_best();
        }
        self.best = Some((self.channels, rate));
        if self.channels == self.most {
            return self.settle();
        }
        self.channels = self.channels.saturating_mul(2).min(self.most);
    }

    /// Nothing may be under way.
    fn settle_at_best(&mut self) {
        self.channels = self.best.map_or(self.channels, |(channels, _)| channels);
        self.settle();
    }

    fn settle(&mut self) {
        self.tries = false;
        self.trial = None;
        tracing::debug!(channels = self.channels, "pages go over these channels");
    }
}

#[cfg(test)]
#[path = "spread_tests.rs"]
mod tests;
