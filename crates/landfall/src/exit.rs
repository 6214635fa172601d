//! What the exit code says.

use std::process::ExitCode;

use landfall_migrate::report::Outcome;

/// How the program ended. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The guest arrived, or what was asked for was done.
    Done = 0,
    /// Something else went wrong.
    Error = 1,
    /// The migration failed; the guest runs on the source. (2, wrong usage, is given by the parser of arguments.)
    Failed = 3,
    /// A check beforehand says that the guest would not arrive.
    Refused = 4,
    /// Cancelled; the guest runs on the source.
    Cancelled = 5,
    /// An operator must decide which side runs the guest.
    InDoubt = 6,
    /// Gave up: cannot arrive within the limits; the guest runs on the source.
    GaveUp = 7,
    /// The guest asked for a reset: its machine is over, and a new one can be started.
    Reset = 8,
}

/// The meaning of every code, for the help text.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  arrived, or done
  1  error
  2  wrong usage
  3  the migration failed, the guest runs on the source
  4  refused by the check beforehand
  5  cancelled, the guest runs on the source
  6  in doubt: an operator must decide which side runs the guest
  7  gave up: cannot arrive within the limits, the guest runs on the source
  8  the guest asked for a reset, and runs nowhere";

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Done,
            Outcome::GaveUp => Self::GaveUp,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Failed => Self::Failed,
            Outcome::InDoubt => Self::InDoubt,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
