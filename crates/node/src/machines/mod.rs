//! The machines of a host: started, asked, moved, ended.

mod credentials;
mod local;
mod native;
mod qemu;
mod trial;

pub use local::LocalMachines;
pub use qemu::memo;

use std::fmt;

use landfall_migrate::report::Report;
use landfall_qmp::DirtyMeasurement;

use crate::model::{NodeName, Progress, Settings, VmRecord, VmSpec};
use crate::process::ProcessId;

/// What a machine's process says of its guest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Condition {
    /// The guest runs.
    Running {
        /// How hard it is held back, 0 to 0.99.
        throttle: f64,
        /// Whether it is on its way out.
        migrating: bool,
    },
    /// It is stopped. While it is `migrating` that is the switchover.
    Paused {
        /// Whether it is on its way out.
        migrating: bool,
    },
    /// A guest is awaited.
    Awaiting,
    /// The guest was given away.
    GivenAway,
    /// The guest may run elsewhere; it is paused until that is decided.
    InDoubt,
    /// There is no process, or nothing in it.
    Gone,
    /// There is a process, and it does not answer.
    Unreachable,
}

/// Where a guest is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination<'a> {
    /// Where the process listens that awaits it.
    pub uri: &'a str,
    /// The node that it belongs to.
    pub node: &'a NodeName,
}

/// What whoever follows a migration wants of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Wish {
    /// To go on.
    #[default]
    GoOn,
    /// To be called off.
    Cancel,
    /// To be held to other settings from now on.
    Adjust(Settings),
    /// To switch over now, whatever the downtime.
    SwitchOver(Settings),
    /// To be left alone: it goes on unwatched.
    Leave,
}

/// Somebody who follows a migration.
pub trait Follower {
    /// How it is now; some ten times a second.
    fn progress(&mut self, progress: Progress);

    /// What is wanted now; asked as often.
    fn wish(&mut self) -> Wish;
}

/// How the following of a migration has ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// It is over.
    Over(Box<Report>),
    /// There is none, and was none.
    None,
    /// It was left alone.
    Left,
}

/// Why a machine did not do what a node wanted.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Its process could not be started.
    #[error("the machine could not be started: {0}")]
    Start(String),
    /// Its monitor did not answer, or refused.
    #[error("{0}")]
    Monitor(String),
    /// It cannot do that.
    #[error("{0}")]
    Unsupported(String),
}

impl MachineError {
    /// An error with all of its sources, in one line.
    pub(crate) fn monitor(error: &dyn std::error::Error) -> Self {
        Self::Monitor(chain(error))
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// What a node does with machines. All of it blocks.
pub trait Machines: Send + Sync + fmt::Debug {
    /// Starts the guest.
    ///
    /// # Errors
    /// When it does not come up; nothing of it is left then.
    fn start(&self, record: &VmRecord) -> Result<ProcessId, MachineError>;

    /// Starts a process that awaits the guest at the address `host`, and gives the URI to send it to.
    ///
    /// # Errors
    /// When it does not come up; nothing of it is left then.
    fn expect(&self, record: &VmRecord, host: &str) -> Result<(ProcessId, String), MachineError>;

    /// The process that runs the machine, where somebody else has started it.
    ///
    /// # Errors
    /// When its monitor does not answer.
    fn find(&self, record: &VmRecord) -> Result<(ProcessId, Vec<String>), MachineError>;

    /// What the guest does now.
    fn condition(&self, record: &VmRecord) -> Condition;

    /// Sends the guest to a destination and follows it to the end; without one, follows the migration that is under way or
    /// over.
    ///
    /// # Errors
    /// When the machine refuses to begin, or cannot be asked any more; what has become of the guest is not known then.
    fn send(
        &self,
        record: &VmRecord,
        to: Option<Destination<'_>>,
        settings: &Settings,
        follower: &mut dyn Follower,
    ) -> Result<Followed, MachineError>;

    /// What the machine is made from, as it travels; `None` for one that does not tell.
    ///
    /// # Errors
    /// When its monitor does not answer.
    fn configuration(&self, record: &VmRecord) -> Result<Option<String>, MachineError>;

    /// Builds a machine as for the guest that `spec` describes, and lets it go again: whether this host could run it, or why not.
    ///
    /// # Errors
    /// When it could not be tried.
    fn try_out(
        &self,
        spec: &VmSpec,
        configuration: &str,
    ) -> Result<Result<(), String>, MachineError>;

    /// Whether the guest's pages can go to another host without anybody being able to look at them.
    ///
    /// # Errors
    /// When they cannot, with what is missing.
    fn can_protect(&self, record: &VmRecord) -> Result<(), MachineError>;

    /// Takes away what a machine needed to let its guest in, once it is there.
    fn let_in(&self, record: &VmRecord);

    /// Decides over a guest in doubt: it runs here, or is discarded here.
    ///
    /// # Errors
    /// When its monitor does not answer, or nothing is in doubt.
    fn settle(&self, record: &VmRecord, run: bool) -> Result<(), MachineError>;

    /// Asks the guest to end, by its power button. Whether it does is its own affair.
    ///
    /// # Errors
    /// When it has none, or its monitor does not answer.
    fn press_button(&self, record: &VmRecord) -> Result<(), MachineError>;

    /// Ends the machine and everything in it.
    fn end(&self, record: &VmRecord);

    /// Ends at once what still runs here of a machine that is not this host's any more, since a daemon was killed before it
    /// could.
    fn end_strays(&self, record: &VmRecord);

    /// Watches what the guest writes, for a moment.
    ///
    /// # Errors
    /// When it cannot be measured, such as while it is migrated.
    fn measure(&self, record: &VmRecord) -> Result<DirtyMeasurement, MachineError>;
}
