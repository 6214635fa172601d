//! A token bucket: what may leave a second.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landfall_converge::{ByteRate, PAGE_SIZE};

use crate::wire::MAX_RUN_PAGES;

/// What may leave at once after a pause. Short, so that the rate is kept over any interval that matters.
const BURST: Duration = Duration::from_millis(5);

/// The migration is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// What may leave now. It has no clock of its own, so that a test can be one.
#[derive(Debug)]
struct Balance {
    rate: Option<ByteRate>,
    /// Bytes that may leave now; below zero they have left ahead of their time.
    bytes: f64,
    at: Instant,
}

impl Balance {
    fn new(rate: Option<ByteRate>, now: Instant) -> Self {
        Self { rate, bytes: 0.0, at: now }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        if let Some(rate) = self.rate {
            let most = rate.bytes_per_second() * BURST.as_secs_f64();
            self.bytes = (self.bytes + elapsed * rate.bytes_per_second()).min(most);
        }
    }

    /// How long to wait until something may leave; `None` when it may now.
    fn delay(&mut self, now: Instant) -> Option<Duration> {
        self.refill(now);
        let rate = self.rate.filter(|_| self.bytes < 0.0)?;
        Some(Duration::from_secs_f64((-self.bytes / rate.bytes_per_second()).min(3600.0)))
    }

    fn spend(&mut self, bytes: u64, now: Instant) {
        self.refill(now);
        if self.rate.is_some() {
            self.bytes -= bytes as f64;
        }
    }

    fn set_rate(&mut self, rate: Option<ByteRate>, now: Instant) {
        self.refill(now);
        self.rate = rate;
        // A debt made at a high rate would take long to pay at a low one.
        let most = rate.map_or(0.0, |rate| rate.bytes_per_second() * BURST.as_secs_f64());
        self.bytes = self.bytes.clamp(-most, 0.0);
    }
}

#[derive(Debug)]
struct State {
    balance: Balance,
    stopped: bool,
}

/// Holds what several senders send together to a rate.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    state: Mutex<State>,
    changed: Condvar,
}

impl TokenBucket {
    /// A bucket of `rate`; `None` lets everything through.
    #[must_use]
    pub(crate) fn new(rate: Option<ByteRate>) -> Self {
        let state = State { balance: Balance::new(rate, Instant::now()), stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the rate, also for those who wait.
    pub(crate) fn set_rate(&self, rate: Option<ByteRate>) {
        self.lock().balance.set_rate(rate, Instant::now());
        self.changed.notify_all();
    }

    /// Lets nobody through any more, and ends every wait.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Waits until something may leave.
    ///
    /// # Errors
    /// When the bucket was stopped.
    pub(crate) fn wait(&self) -> Result<(), Stopped> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let Some(delay) = state.balance.delay(Instant::now()) else { return Ok(()) };
            state =
                self.changed.wait_timeout(state, delay).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// `bytes` have left.
    pub(crate) fn spend(&self, bytes: u64) {
        self.lock().balance.spend(bytes, Instant::now());
    }

    /// What may leave a second.
    pub(crate) fn rate(&self) -> Option<ByteRate> {
        self.lock().balance.rate
    }

    /// Pages for one frame: few where the rate is low, so that one frame never takes long.
    #[must_use]
    pub(crate) fn run_pages(&self) -> u64 {
        let rate = self.lock().balance.rate;
        rate.map_or(MAX_RUN_PAGES, |rate| (rate.over(BURST).0 / PAGE_SIZE).clamp(1, MAX_RUN_PAGES))
    }
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
