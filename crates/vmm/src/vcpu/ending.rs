//! How a guest comes to its end.

use std::fmt;

/// How a guest came to its end of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It powered its machine off.
    PowerOff,
    /// It asked for its machine to be reset.
    Reset,
    /// It cannot go on; the text says why.
    Failure(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOff => f.write_str("the guest powered off"),
            Self::Reset => f.write_str("the guest asked for a reset"),
            Self::Failure(why) => f.write_str(why),
        }
    }
}
