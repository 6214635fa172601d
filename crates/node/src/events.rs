//! What happens on a node, for those who watch.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::node::now_ms;

/// Events kept for those who come back after a break.
const MOST_EVENTS: usize = 4096;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its number; later ones are larger, also after the daemon was started again.
    pub id: u64,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: u64,
    /// `vm`, `migration`, `drain` or `node`.
    pub kind: &'static str,
    /// What it is about: the name of a machine, of a migration, or of the node.
    pub subject: String,
    /// How it is now, as the API shows it.
    pub data: Value,
}

/// The events of a node.
#[derive(Debug)]
pub struct Events {
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    next: u64,
    events: VecDeque<Event>,
}

impl Events {
    /// None yet; the first gets the number `first`, which must be larger than any before the daemon was started again.
    #[must_use]
    pub fn new(first: u64) -> Self {
        let kept = Mutex::new(Kept { next: first, events: VecDeque::new() });
        Self { kept, newest: watch::Sender::new(0) }
    }

    /// Tells everybody.
    pub fn tell(&self, kind: &'static str, subject: &str, data: &impl Serialize) {
        // What the API shows is always JSON; were it not, there would be nothing to tell.
        let Ok(data) = serde_json::to_value(data) else { return };
        let at_ms = now_ms();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let id = kept.next;
        kept.next += 1;
        if kept.events.len() == MOST_EVENTS {
            kept.events.pop_front();
        }
        kept.events.push_back(Event { id, at_ms, kind, subject: subject.to_owned(), data });
        self.newest.send_replace(id);
    }

    /// What has happened after the event `last`, oldest first.
    #[must_use]
    pub fn after(&self, last: u64) -> Vec<Event> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.events.iter().filter(|event| event.id > last).cloned().collect()
    }

    /// The number of the newest event, and what changes whenever there is a newer one.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
