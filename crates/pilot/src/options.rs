//! What is wanted of a pilot, and what it tells while it steers.

use std::time::Duration;

use landfall_converge::{ByteRate, Bytes, Throttle, Verdict};
use landfall_qmp::MigrationStatus;

use crate::monitor::AskError;

/// What happens at the end of the time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtLimit {
    /// The migration is cancelled.
    #[default]
    Abort,
    /// QEMU is allowed any downtime.
    Switchover,
    /// The guest runs on at the destination and its pages follow.
    Postcopy,
}

/// What is wanted of a migration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Whether the guest may be throttled.
    pub auto_converge: bool,
    /// The hardest throttle.
    pub max_throttle: Throttle,
    /// The longest downtime; as QEMU has it where nothing is said.
    pub max_downtime: Option<Duration>,
    /// The most that may leave a second; as QEMU has it where nothing is said.
    pub max_bandwidth: Option<u64>,
    /// The longest migration.
    pub time_limit: Option<Duration>,
    /// What happens at the end of it.
    pub at_limit: AtLimit,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auto_converge: true,
            max_throttle: Throttle::MAX,
            max_downtime: None,
            max_bandwidth: None,
            time_limit: None,
            at_limit: AtLimit::Abort,
        }
    }
}

/// Why there was nothing to steer.
#[derive(Debug, thiserror::Error)]
pub enum PilotError {
    /// QEMU did not do what was asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A capability that is needed cannot be had.
    #[error("QEMU's capability '{0}' is off, and it cannot be switched on: {1}")]
    Capability(&'static str, String),
    /// A parameter that is needed is not there.
    #[error("this QEMU has no parameter '{0}' of migrations; a later version has")]
    Parameter(&'static str),
    /// There is a migration already.
    #[error("a migration of this machine is under way already; steer it with `landfall pilot`")]
    UnderWay,
}

/// What the one who started us wants now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wish {
    /// To go on.
    GoOn,
    /// The migration is to be called off.
    Cancel,
    /// It is to be held to other limits from now on; whether it may be throttled stays as it was.
    Adjust(Options),
    /// It is to switch over now, whatever the downtime.
    SwitchOver,
    /// It is to go on without us.
    Detach,
}

/// A migration at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Where QEMU says it is; [`MigrationStatus::None`] while there is none.
    pub status: MigrationStatus,
    /// Since it began, by QEMU's clock.
    pub elapsed: Duration,
    /// The pass under way.
    pub pass: u64,
    /// The guest's memory.
    pub memory: Bytes,
    /// What has left.
    pub sent: Bytes,
    /// What remains to be sent.
    pub remaining: Bytes,
    /// What was dirtied a second, in the last period that QEMU closed.
    pub dirty_rate: ByteRate,
    /// What leaves a second.
    pub bandwidth: ByteRate,
    /// The throttle in force.
    pub throttle: Throttle,
    /// What is believed.
    pub verdict: Option<Verdict>,
}

/// Those who watch.
pub trait Observer {
    /// The migration as it is now; some ten times a second.
    fn progress(&mut self, progress: &Progress);

    /// Something that must be known and is no progress.
    fn note(&mut self, text: &str);
}
