//! How many guests may leave at a time.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::lock;

/// Places for guests that leave.
#[derive(Debug)]
pub(super) struct Slots {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    most: u32,
    taken: u32,
    closed: bool,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(super) fn new(most: u32) -> Self {
        let state = State { most: most.max(1), taken: 0, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits for a place, for `time` at most.
    pub(super) fn take(&self, time: Duration) -> Option<Slot<'_>> {
        let state = lock(&self.state);
        let full = |state: &mut State| !state.closed && state.taken >= state.most;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, time, full)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.closed || state.taken >= state.most {
            return None;
        }
        state.taken += 1;
        Some(Slot(self))
    }

    /// Takes a place for a guest that is on its way already, however many there are.
    pub(super) fn take_anyway(&self) -> Slot<'_> {
        lock(&self.state).taken += 1;
        Slot(self)
    }

    pub(super) fn taken(&self) -> u32 {
        lock(&self.state).taken
    }

    /// Lets those who wait look again at whether they still want a place.
    pub(super) fn nudge(&self) {
        self.changed.notify_all();
    }

    /// Waits until something changes, or for `time`.
    pub(super) fn wait(&self, time: Duration) {
        let state = lock(&self.state);
        if !state.closed {
            drop(self.changed.wait_timeout(state, time));
        }
    }

    /// No more places: whoever waits is sent away.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).taken -= 1;
        self.0.changed.notify_all();
    }
}
