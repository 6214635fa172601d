//! What a monitor tells without being asked.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::migration::MigrationStatus;

/// An event as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its name, such as `STOP`.
    pub event: String,
    /// What belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// When it happened, by the wall clock.
    pub timestamp: Timestamp,
}

/// A moment of wall time since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Whole seconds; -1 where the clock could not be read.
    pub seconds: i64,
    /// The rest of the second; -1 where the clock could not be read.
    pub microseconds: i64,
}

/// The events that Landfall knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", content = "data", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventKind {
    /// The guest was stopped.
    Stop,
    /// The guest runs again.
    Resume,
    /// The machine ends.
    Shutdown {
        /// Whether the guest asked for it.
        guest: bool,
        /// Why, in one of QEMU's words: `host-qmp-quit`, `host-signal`, `guest-shutdown`, …
        reason: String,
    },
    /// The guest keeps more or less memory than before.
    BalloonChange {
        /// Bytes that it has now.
        actual: u64,
    },
    /// The migration is in another state. Only while the capability `events` is on.
    Migration {
        /// Which.
        status: MigrationStatus,
    },
    /// A pass began. Only while the capability `events` is on.
    MigrationPass {
        /// Its number, from 1.
        pass: u64,
    },
}

impl Timestamp {
    /// The wall clock's time.
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(
            Self { seconds: -1, microseconds: -1 },
            |since| Self {
                seconds: i64::try_from(since.as_secs()).unwrap_or(-1),
                microseconds: i64::from(since.subsec_micros()),
            },
        )
    }
}

impl Event {
    /// `kind`, happening now.
    #[must_use]
    pub fn now(kind: &EventKind) -> Self {
        let timestamp = Timestamp::now();
        let (event, data) = match kind {
            EventKind::Stop => ("STOP", None),
            EventKind::Resume => ("RESUME", None),
            EventKind::Shutdown { guest, reason } => {
                ("SHUTDOWN", Some(serde_json::json!({ "guest": guest, "reason": reason })))
            }
            EventKind::BalloonChange { actual } => {
                ("BALLOON_CHANGE", Some(serde_json::json!({ "actual": actual })))
            }
            EventKind::Migration { status } => {
                ("MIGRATION", Some(serde_json::json!({ "status": status })))
            }
            EventKind::MigrationPass { pass } => {
                ("MIGRATION_PASS", Some(serde_json::json!({ "pass": pass })))
            }
        };
        Self { event: event.to_owned(), data, timestamp }
    }

    /// What it is, if Landfall knows it.
    #[must_use]
    pub fn kind(&self) -> Option<EventKind> {
        let mut tagged = serde_json::json!({ "event": self.event });
        if let Some(data) = &self.data {
            tagged["data"] = data.clone();
        }
        serde_json::from_value(tagged).ok()
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
