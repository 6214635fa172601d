//! What others may do to a migration under way: cancel it, and change its limits.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::channel::Channel;
use crate::options::Adjustment;

/// What the one who runs the migration is told by others.
#[derive(Debug)]
pub(crate) enum Request {
    Cancel,
    Adjust(Adjustment),
}

type Forward = Box<dyn Fn(Request) + Send>;

#[derive(Default)]
struct State {
    cancelled: bool,
    /// Requests that came before the migration began to listen.
    early: Vec<Adjustment>,
    forward: Option<Forward>,
    /// Ends a wait for the other side.
    interrupt: Option<Channel>,
}

/// Steers a migration from another thread. Clones steer the same one.
#[derive(Clone)]
pub struct Handle(Arc<Mutex<State>>);

/// A migration's end of its [`Handle`].
pub struct Control(Arc<Mutex<State>>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// A handle and the migration's end of it, made before the migration begins so that it can be cancelled at any moment.
#[must_use]
pub fn control() -> (Handle, Control) {
    let state = Arc::new(Mutex::new(State::default()));
    (Handle(Arc::clone(&state)), Control(state))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    /// Asks the migration to end with the guest at the source; too late once it was given away. Returns at once.
    pub fn cancel(&self) {
        let mut state = lock(&self.0);
        state.cancelled = true;
        if let Some(forward) = &state.forward {
            forward(Request::Cancel);
        }
        if let Some(channel) = &state.interrupt {
            channel.shutdown();
        }
    }

    /// Changes the migration under way. Returns at once.
    pub fn adjust(&self, adjustment: Adjustment) {
        let mut state = lock(&self.0);
        match &state.forward {
            Some(forward) => forward(Request::Adjust(adjustment)),
            None => state.early.push(adjustment),
        }
    }
}

impl Control {
    /// Sends what is requested to `events` from now on, beginning with what was requested before.
    pub(crate) fn forward<E: Send + 'static>(
        &self,
        events: Sender<E>,
        wrap: impl Fn(Request) -> E + Send + 'static,
    ) {
        let mut state = lock(&self.0);
        // A migration that has ended listens no more.
        let forward = move |request| drop(events.send(wrap(request)));
        if state.cancelled {
            forward(Request::Cancel);
        }
        state.early.drain(..).for_each(|adjustment| forward(Request::Adjust(adjustment)));
        state.forward = Some(Box::new(forward));
    }

    /// Shuts `channel` down when the migration is cancelled, at once if it was already.
    pub(crate) fn interrupt(&self, channel: Channel) {
        let mut state = lock(&self.0);
        if state.cancelled {
            channel.shutdown();
        }
        state.interrupt = Some(channel);
    }

    /// Nothing is waited for any more; what was to be shut down is let go.
    pub(crate) fn uninterrupt(&self) {
        lock(&self.0).interrupt = None;
    }

    /// From now on cancelling comes too late, unless it came before: then the answer is `false`.
    pub(crate) fn cannot_be_cancelled_any_more(&self) -> bool {
        let mut state = lock(&self.0);
        state.interrupt = None;
        !state.cancelled
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        lock(&self.0).cancelled
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
