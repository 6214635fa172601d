//! Guest memory as files that another process of this host can have, too.

use std::os::fd::OwnedFd;

use super::PageIndex;

/// A file that holds a range of guest memory from its beginning on, and nothing else.
///
/// Whoever has it has the memory itself: what one process writes the other reads.
#[derive(Debug)]
pub struct MemoryFile {
    /// The first page of the range.
    pub first: PageIndex,
    /// How many pages there are.
    pub count: u64,
    /// The file. Its position is the same in every process that has it, and is not to be used.
    pub file: OwnedFd,
}
