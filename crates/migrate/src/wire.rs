//! The wire protocol: what is said between source and destination, and how it is written down.
//!
//! docs/wire.md describes it for those who read captures.

mod codec;
mod message;
mod tag;

pub use codec::{Decoder, Encoder, HEADER_BYTES, Received, WireError};
pub use message::{
    Commit, Encoding, Finish, Hello, MAX_CHANNELS, MAX_MEMORY_FILES, MAX_RUN_PAGES, Message,
    PageRun, Ready, Running, Welcome,
};

/// The version that this program speaks.
pub const VERSION: u16 = 1;
/// The oldest version that it still understands: its own, and the one before where there is one.
pub const OLDEST_VERSION: u16 = 1;

/// The newest version that both sides understand.
#[must_use]
pub fn common_version(theirs: std::ops::RangeInclusive<u16>) -> Option<u16> {
    let newest = VERSION.min(*theirs.end());
    (newest >= OLDEST_VERSION && newest >= *theirs.start()).then_some(newest)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
