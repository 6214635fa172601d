//! What was typed for a guest and has not been read by it: the way from a line into a console.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Waker;
use crate::devices::{DeviceStateError, LineEnd};

/// No more waits for the guest.
const ROOM: usize = 256;

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<u8>,
    /// Something has come since it was looked at last.
    news: bool,
    /// The machine stands still, and nothing is taken for it.
    stopped: bool,
    /// What waits was saved, and nothing can be added.
    saved: bool,
    /// The machine is no more.
    closed: bool,
}

/// What was typed for a guest.
#[derive(Debug, Default)]
pub(crate) struct Typed {
    state: Mutex<State>,
    changed: Condvar,
}

impl Typed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when `ready` gives something.
    fn when<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.state();
        loop {
            if let Some(value) = ready(&mut state) {
                return value;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether anything waits.
    pub(super) fn has_some(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// Gives up to `room` bytes away by `give`, and forgets them if that went well; how many there were.
    pub(super) fn take(
        &self,
        room: usize,
        give: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<usize> {
        let mut state = self.state();
        let count = state.waiting.len().min(room);
        give(&state.waiting.make_contiguous()[..count])?;
        state.waiting.drain(..count);
        drop(state);
        self.changed.notify_all();
        Ok(count)
    }

    /// Nothing is taken until [`Typed::start`].
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
    }

    /// Takes again.
    pub(crate) fn start(&self) {
        let mut state = self.state();
        (state.stopped, state.saved) = (false, false);
        drop(state);
        self.changed.notify_all();
    }

    /// The machine is going: nobody waits for it any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// What waits, which travels.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut state = self.state();
        state.saved = true;
        state.waiting.iter().copied().collect()
    }

    /// Takes what [`Typed::save`] gave.
    ///
    /// # Errors
    /// When it is more than can wait.
    pub(crate) fn load(&self, waiting: &[u8]) -> Result<(), DeviceStateError> {
        if waiting.len() > ROOM {
            return Err(DeviceStateError::Console);
        }
        self.state().waiting = waiting.iter().copied().collect();
        Ok(())
    }
}

impl LineEnd for Typed {
    fn wait_for_room(&self) -> Option<usize> {
        self.when(|state| {
            let room = ROOM.saturating_sub(state.waiting.len());
            match () {
                () if state.closed => Some(None),
                () if state.stopped || room == 0 => None,
                () => Some(Some(room)),
            }
        })
    }

    fn receive(&self, mut bytes: &[u8]) -> bool {
        self.when(|state| {
            if state.closed {
                return Some(false);
            }
            if !state.saved {
                let count = bytes.len().min(ROOM.saturating_sub(state.waiting.len()));
                state.waiting.extend(&bytes[..count]);
                bytes = &bytes[count..];
                state.news |= count > 0;
                // The worker is told.
                if count > 0 {
                    self.changed.notify_all();
                }
            }
            bytes.is_empty().then_some(true)
        })
    }
}

impl Waker for Typed {
    fn wait(&self) -> bool {
        self.when(|state| {
            let news = std::mem::take(&mut state.news);
            (news || state.closed).then_some(!state.closed)
        })
    }

    fn end(&self) {
        self.close();
    }
}
