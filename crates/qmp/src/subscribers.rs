//! Those who want to hear of events.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::codec::encode;
use crate::event::{Event, EventKind};

/// A line on its way to a client.
pub(crate) type Line = Arc<[u8]>;

/// Sends events to every client that has negotiated. Cheap to clone; made before the server, so that the machine that
/// the server asks can hold one.
#[derive(Clone, Debug, Default)]
pub struct EventBroadcast(Arc<Mutex<Subscribers>>);

#[derive(Debug, Default)]
struct Subscribers {
    next: u64,
    list: Vec<Subscriber>,
}

#[derive(Debug)]
struct Subscriber {
    number: u64,
    lines: SyncSender<Line>,
    stream: UnixStream,
}

/// Ends when dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    broadcast: EventBroadcast,
    number: u64,
}

impl EventBroadcast {
    /// A broadcast that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every client of `kind`. Never waits: a client that does not read until its queue is full is cut off, since
    /// the caller may be the thread on which a guest's downtime depends.
    pub fn emit(&self, kind: &EventKind) {
        let Ok(line) = encode(&Event::now(kind)) else { return };
        let line = Line::from(line);
        self.lock().list.retain(|client| match client.lines.try_send(Arc::clone(&line)) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(_)) => {
                // Fails only when the client has gone already.
                let _ = client.stream.shutdown(Shutdown::Both);
                false
            }
        });
    }

    pub(crate) fn subscribe(&self, lines: SyncSender<Line>, stream: UnixStream) -> Subscription {
        let mut subscribers = self.lock();
        let number = subscribers.next;
        subscribers.next += 1;
        subscribers.list.push(Subscriber { number, lines, stream });
        Subscription { broadcast: self.clone(), number }
    }

    /// How many clients listen.
    #[cfg(test)]
    pub(crate) fn audience(&self) -> usize {
        self.lock().list.len()
    }

    /// The list is whole between any two statements, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Subscribers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.broadcast.lock().list.retain(|client| client.number != self.number);
    }
}
