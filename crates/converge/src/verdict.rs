//! What the controller believes, with numbers.

use serde::{Deserialize, Serialize};

use crate::units::{ByteRate, Throttle};

/// What the controller believes about the migration under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The belief in one word.
    pub state: VerdictState,
    /// The belief as a sentence that names the rates it rests on.
    pub text: String,
    /// The least throttle that can work; zero when none is needed.
    pub needed_throttle: Throttle,
    /// The guest's dirty rate per second of *guest run time*: what it would dirty if nobody held it back.
    #[serde(rename = "unthrottled_dirty_rate_bytes_per_second")]
    pub unthrottled_dirty_rate: ByteRate,
    /// Bytes that leave for the destination per second, smoothed.
    #[serde(rename = "bandwidth_bytes_per_second")]
    pub bandwidth: ByteRate,
}

/// A verdict in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictState {
    /// Not enough was measured yet.
    #[default]
    Measuring,
    /// It arrives as things are.
    Converging,
    /// It arrives only with a throttle, which is known.
    NeedsThrottle,
    /// Nothing moves: no bytes leave for the destination.
    Stalled,
    /// It cannot arrive within the limits.
    CannotConverge,
}
