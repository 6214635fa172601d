//! What a migration under way tells those who watch.

use std::time::Duration;

use landfall_converge::{ByteRate, Bytes, Pages, Throttle, Verdict};
use serde::{Deserialize, Serialize};

use crate::report::PageCounts;

/// Where a migration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reaching the destination and agreeing on version and machine.
    #[default]
    Connecting,
    /// Every page is being sent once.
    FirstPass,
    /// What was dirtied meanwhile is being sent again.
    Passes,
    /// The guest is stopped: exact sync, last pages, device state.
    Switchover,
    /// The guest was given away.
    Committed,
}

/// A migration at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// The pass under way, from 1; 0 before the first.
    pub pass: u32,
    /// Since it began.
    pub elapsed: Duration,
    /// All pages of the guest.
    pub total: Pages,
    /// Pages that would have to be sent if the guest stopped now.
    pub remaining: Pages,
    /// Bytes that have left, as the wire counts them.
    pub sent: Bytes,
    /// Pages that have left, by encoding.
    pub pages: PageCounts,
    /// Bytes that leave a second, smoothed.
    pub bandwidth: ByteRate,
    /// Distinct bytes dirtied a second of wall time.
    pub dirty_rate: ByteRate,
    /// The downtime if it switched over now.
    pub expected_downtime: Duration,
    /// The hardest throttle of any vCPU now.
    pub throttle: Throttle,
    /// What the controller believes.
    pub verdict: Option<Verdict>,
}

/// Those who watch a migration. Called from the migration's own thread: return quickly.
pub trait Observer: Send {
    /// A phase began.
    fn phase(&mut self, phase: Phase) {
        let _ = phase;
    }

    /// A pass began (from 1).
    fn pass(&mut self, pass: u32) {
        let _ = pass;
    }

    /// Some 20 times a second, and whenever a phase or pass begins.
    fn progress(&mut self, progress: &Progress) {
        let _ = progress;
    }
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
