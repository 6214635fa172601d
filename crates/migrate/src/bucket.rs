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

#[derive(Debug)]
struct State {
    rate: Option<ByteRate>,
    /// Bytes that may leave now; below zero they have left ahead of their time.
    balance: f64,
    at: Instant,
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
        let state = State { rate, balance: 0.0, at: Instant::now(), stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the rate, also for those who wait.
    pub(crate) fn set_rate(&self, rate: Option<ByteRate>) {
        let mut state = self.lock();
        refill(&mut state, Instant::now());
        // A debt made under another rate would have to be paid at this one.
        state.balance = state.balance.clamp(-(256.0 * 1024.0), 0.0);
        state.rate = rate;
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
            let Some(rate) = state.rate else { return Ok(()) };
            refill(&mut state, Instant::now());
            if state.balance >= 0.0 {
                return Ok(());
            }
            let wait =
                Duration::from_secs_f64((-state.balance / rate.bytes_per_second()).min(3600.0));
            state =
                self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// `bytes` have left.
    pub(crate) fn spend(&self, bytes: u64) {
        let mut state = self.lock();
        if state.rate.is_some() {
            refill(&mut state, Instant::now());
            state.balance -= bytes as f64;
        }
    }

    /// Pages for one frame: few where the rate is low, so that one frame never takes long.
    #[must_use]
    pub(crate) fn run_pages(&self) -> u64 {
        let rate = self.lock().rate;
        rate.map_or(MAX_RUN_PAGES, |rate| (rate.over(BURST).0 / PAGE_SIZE).clamp(1, MAX_RUN_PAGES))
    }
}

fn refill(state: &mut State, now: Instant) {
    let elapsed = now.saturating_duration_since(state.at).as_secs_f64();
    state.at = now;
    if let Some(rate) = state.rate {
        let most = rate.bytes_per_second() * BURST.as_secs_f64();
        state.balance = (state.balance + elapsed * rate.bytes_per_second()).min(most);
    }
}
