//! Guest memory that two processes of one host have: the files behind it, and what is asked of them.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use landfall_converge::Bytes;
use landfall_migrate::machine::{MemoryFile, PageIndex};

use super::{GuestRam, MemoryError, laid_out, mapped};

/// Why what another process has handed over is no memory for a guest.
#[derive(Debug, thiserror::Error)]
pub enum SharedMemoryError {
    /// There is memory where the guest has none, or none where it has some.
    #[error(
        "the memory that was handed over is not laid out as that of a guest of {0}; have both sides run the same version of \
         Landfall, or migrate without a hand-over"
    )]
    Layout(Bytes),
    /// Nothing that has seals.
    #[error(
        "what was handed over as guest memory is no memory file, but something else; migrate without a hand-over"
    )]
    NoMemory(#[source] std::io::Error),
    /// Its length can be changed, or it cannot be written to.
    #[error(
        "a file of guest memory must be sealed against shrinking and growing, and not against writing: another process could \
         end the guest by cutting it short (its seals: {0:#x}); migrate without a hand-over"
    )]
    Seals(i32),
    /// It is not as long as its range.
    #[error(
        "a file of guest memory has {found} where the guest has {expected}; migrate without a hand-over"
    )]
    Length {
        /// What is in the file.
        found: Bytes,
        /// What should be.
        expected: Bytes,
    },
    /// The system does not say, or gives no descriptor.
    #[error("a file of guest memory could not be looked at or passed on")]
    File(#[source] std::io::Error),
}

impl GuestRam {
    /// The files that it is in, one a range and in their order. Who has them has the memory itself.
    ///
    /// # Errors
    /// When the system gives no descriptors.
    pub fn files(&self) -> Result<Vec<MemoryFile>, MemoryError> {
        let ranges = self.layout.ranges().iter();
        let file = |range: &std::ops::Range<u64>| {
            let (first, count) = (PageIndex(range.start), range.end - range.start);
            let (behind, _, _) = self.behind(first, count)?;
            let file = behind.file().try_clone().map_err(SharedMemoryError::File)?;
            Ok(MemoryFile { first, count, file: file.into() })
        };
        ranges.map(file).collect()
    }

    /// The memory of a guest of `size` that is in `files`, and perhaps in other processes, too. Nothing of it is written or
    /// even touched.
    ///
    /// # Errors
    /// When the files are not those of such a guest, can be changed in length, or cannot be mapped.
    pub fn in_files(size: Bytes, files: Vec<MemoryFile>) -> Result<Self, MemoryError> {
        let (ranges, layout) = laid_out(size)?;
        let given = files.iter().map(|file| (file.first.0, file.first.0.checked_add(file.count)));
        let expected = layout.ranges().iter().map(|range| (range.start, Some(range.end)));
        if !given.eq(expected) {
            return Err(SharedMemoryError::Layout(size).into());
        }
        let region = |(range, file): (&std::ops::Range<u64>, MemoryFile)| {
            mapped(range, checked(file.file, range.end - range.start)?)
        };
        let regions = ranges.iter().zip(files).map(region).collect::<Result<Vec<_>, _>>()?;
        Self::of(regions, layout, size)
    }
}

/// A file of `bytes` that nobody can make shorter any more.
fn checked(file: OwnedFd, bytes: u64) -> Result<File, SharedMemoryError> {
    let file = File::from(file);
    // SAFETY: a plain call on a descriptor that `file` owns; it only asks.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 {
        return Err(SharedMemoryError::NoMemory(std::io::Error::last_os_error()));
    }
    let fixed = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    let unwritable = libc::F_SEAL_WRITE | libc::F_SEAL_FUTURE_WRITE;
    if seals & fixed != fixed || seals & unwritable != 0 {
        return Err(SharedMemoryError::Seals(seals));
    }
    // Only now: what is sealed stays as long as it is found.
    let found = Bytes(file.metadata().map_err(SharedMemoryError::File)?.len());
    let expected = Bytes(bytes);
    if found != expected {
        return Err(SharedMemoryError::Length { found, expected });
    }
    Ok(file)
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
