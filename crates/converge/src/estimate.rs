//! What is believed about guest and link.

use std::time::Duration;

use crate::units::{ByteRate, Pages};

/// Stands for "not in any time that matters": a hundred years. Finite, so that adding to it does not overflow.
pub const NEVER: Duration = Duration::from_secs(3_155_760_000);

/// What is believed about guest and link at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimates {
    /// Bytes that leave for the destination per second, smoothed.
    pub bandwidth: ByteRate,
    /// Distinct bytes dirtied per second of wall time, as the guest is throttled now.
    pub dirty_rate: ByteRate,
    /// Distinct bytes dirtied per second of guest run time.
    pub unthrottled_dirty_rate: ByteRate,
    /// The pages that the guest keeps rewriting, as far as they were seen.
    pub working_set: Pages,
    /// The downtime if the guest were stopped now; [`NEVER`] while nothing leaves.
    pub expected_downtime: Duration,
}
