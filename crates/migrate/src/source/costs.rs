//! What a switchover costs whatever is left to send, from what was measured so far.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Answers remembered; the quickest of them counts, for the others met a busy processor on their way.
const REMEMBERED: usize = 4;
/// What stopping the vCPUs is taken to cost until it was measured.
const STOP: Duration = Duration::from_millis(1);
/// In this time half of what a first stop took beyond that is forgotten: it may have met a busy host, and a stop that is
/// believed to take too long is never tried again.
const FORGOTTEN: Duration = Duration::from_millis(500);
/// That time doubles with each that was taken back and took long, so that a guest is not stopped again and again in vain; so
/// often at most.
const MOST_DOUBLINGS: u32 = 10;
/// A stop that takes no longer than this says that stopping costs little here, whatever those before it took.
const QUICK: Duration = Duration::from_millis(10);
/// What comparing both ends is believed to take is found out anew when it is older than this, if it stands in the way: it may have met a busy
/// host, too.
const DOUBTED: Duration = Duration::from_secs(1);
/// What reading, sending and loading device state is taken to cost until it was measured.
const STATE: Duration = Duration::from_millis(5);

/// The parts of downtime that do not depend on pages.
#[derive(Clone, Debug)]
pub(super) struct Costs {
    /// The last one that was measured.
    stop: Option<Stop>,
    /// How long reading the dirty log took last.
    sync: Duration,
    /// Comparing digests, and when that was found out; nothing where they are not.
    check: Option<(Duration, Instant)>,
    /// The quickest answer of all.
    round_trip: Option<Duration>,
    /// The last answers to the end of a walk. What lies in the buffers of a slow link arrives before it is answered.
    answers: VecDeque<Duration>,
    /// The end of a walk that was not answered yet.
    asked: Option<(u32, Instant)>,
}

/// What stopping the vCPUs took.
#[derive(Clone, Copy, Debug)]
struct Stop {
    took: Duration,
    ended: Instant,
    /// Stops before it that took long, without a quick one in between: all of them were taken back.
    before: u32,
}

impl Stop {
    /// What another one is believed to take.
    fn another(&self, now: Instant) -> Duration {
        let half_life = FORGOTTEN * (1 << self.before.min(MOST_DOUBLINGS));
        let age = now.saturating_duration_since(self.ended).as_secs_f64();
        let left = (-age / half_life.as_secs_f64()).exp2();
        STOP.min(self.took) + self.took.saturating_sub(STOP).mul_f64(left)
    }
}

impl Costs {
    /// The costs as they are believed to be before anything was measured.
    pub(super) fn new() -> Self {
        Self {
            stop: None,
            sync: Duration::ZERO,
            check: None,
            round_trip: None,
            answers: VecDeque::new(),
            asked: None,
        }
    }

    /// Stopping the vCPUs took so long, until now.
    pub(super) fn stopped_in(&mut self, took: Duration, ended: Instant) {
        let slow = self.stop.filter(|stop| stop.took > QUICK && took > QUICK);
        let before = slow.map_or(0, |stop| stop.before + 1);
        self.stop = Some(Stop { took, ended, before });
    }

    pub(super) fn synced_in(&mut self, time: Duration) {
        self.sync = time;
    }

    /// What the last reading of the dirty log took.
    pub(super) fn sync(&self) -> Duration {
        self.sync
    }

    /// Comparing both ends takes so long, as was found out now.
    pub(super) fn checks_in(&mut self, time: Duration, now: Instant) {
        self.check = Some((time, now));
    }

    /// Whether all together take longer than `limit`, and it is to be found out anew what comparing both ends takes.
    pub(super) fn doubts_check(&self, limit: Duration, now: Instant) -> bool {
        let is_old = |found: Instant| now.saturating_duration_since(found) >= DOUBTED;
        self.check.is_some_and(|(_, found)| is_old(found)) && self.fixed_downtime(now) > limit
    }

    pub(super) fn answered_in(&mut self, time: Duration) {
        self.round_trip = Some(self.round_trip.map_or(time, |quickest| quickest.min(time)));
    }

    /// The end of walk `walk` has left.
    pub(super) fn asked(&mut self, walk: u32, now: Instant) {
        self.asked = Some((walk, now));
    }

    /// The destination has everything up to the end of walk `walk`.
    pub(super) fn answered(&mut self, walk: u32, now: Instant) {
        let Some((_, asked)) = self.asked.take_if(|(asked, _)| *asked == walk) else { return };
        let time = now.saturating_duration_since(asked);
        self.answered_in(time);
        self.answers.push_back(time);
        if self.answers.len() > REMEMBERED {
            self.answers.pop_front();
        }
    }

    /// How long what lies in the buffers of the link takes to arrive.
    fn backlog(&self) -> Duration {
        let answer = self.answers.iter().min().copied().unwrap_or_default();
        answer.saturating_sub(self.round_trip.unwrap_or_default())
    }

    /// All of them: the guest is stopped, the dirty log read, what is under way arrives, the state is read and loaded and
    /// checked; *ready*, *commit* and *running* are three messages one after the other.
    pub(super) fn fixed_downtime(&self, now: Instant) -> Duration {
        let messages = self.round_trip.unwrap_or_default() * 2;
        let stop = self.stop.map_or(STOP, |stop| stop.another(now));
        let check = self.check.map_or(Duration::ZERO, |(takes, _)| takes);
        stop + self.sync + self.backlog() + STATE + check + messages
    }
}

#[cfg(test)]
#[path = "costs_tests.rs"]
mod tests;
