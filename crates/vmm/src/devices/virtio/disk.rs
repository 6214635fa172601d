//! A disk image: a file or a block device of this host, which only one machine may write to.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

/// The unit in which disks are counted, whatever their blocks.
pub(crate) const SECTOR: u64 = 512;

/// A disk as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskChoice {
    /// The file or block device, at the same path on every host that the guest comes to.
    pub path: PathBuf,
    /// The guest may not write to it, and other machines may read it, too.
    #[serde(default)]
    pub read_only: bool,
}

/// Why a text names no disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no disk; write PATH or PATH,readonly")]
pub struct ParseDiskError(String);

impl FromStr for DiskChoice {
    type Err = ParseDiskError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, read_only) = match text.rsplit_once(',') {
            None => (text, false),
            Some((path, "readonly")) => (path, true),
            Some(_) => return Err(ParseDiskError(text.to_owned())),
        };
        if path.is_empty() {
            return Err(ParseDiskError(text.to_owned()));
        }
        Ok(Self { path: path.into(), read_only })
    }
}

impl fmt::Display for DiskChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.read_only { ",readonly" } else { "" };
        write!(f, "{}{suffix}", self.path.display())
    }
}

/// Why a disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It cannot be opened.
    #[error("the disk {0} cannot be opened; give the path of a file or block device of this host")]
    Open(PathBuf, #[source] io::Error),
    /// It has no sectors, or half of one.
    #[error("the disk {0} has {1} bytes; a disk has a multiple of 512, and at least that")]
    Size(PathBuf, u64),
    /// Another process has it.
    #[error("the disk {0} is in use by another process; end that one first")]
    InUse(PathBuf),
    /// It cannot be locked.
    #[error("the disk {0} cannot be locked; put it on a file system that has locks")]
    Lock(PathBuf, #[source] io::Error),
    /// What was written cannot be brought to it.
    #[error("what the guest has written cannot be brought to the disk {0}")]
    Flush(PathBuf, #[source] io::Error),
}

/// A disk image.
#[derive(Debug)]
pub struct Disk {
    choice: DiskChoice,
    file: File,
    /// The same for those who move the guest. A write that fails later on is told once to each open file: what they hear
    /// of it the guest must not miss.
    for_moving: File,
    sectors: u64,
    /// Only to do nothing where nothing is to be done; what counts is the lock itself.
    locked: AtomicBool,
}

impl Disk {
    /// Opens it, without locking it yet.
    ///
    /// # Errors
    /// When it cannot be opened, or is no disk.
    pub fn open(choice: &DiskChoice) -> Result<Self, DiskError> {
        let failed = |error| DiskError::Open(choice.path.clone(), error);
        let mut file = File::options()
            .read(true)
            .write(!choice.read_only)
            .open(&choice.path)
            .map_err(failed)?;
        // A block device does not say its size in any other way.
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if length == 0 || !length.is_multiple_of(SECTOR) {
            return Err(DiskError::Size(choice.path.clone(), length));
        }
        let for_moving = reopened(&file, choice.read_only).map_err(failed)?;
        let (choice, sectors) = (choice.clone(), length / SECTOR);
        Ok(Self { choice, file, for_moving, sectors, locked: AtomicBool::new(false) })
    }

    /// How many sectors it has.
    pub(super) fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether it can only be read.
    pub(super) fn is_read_only(&self) -> bool {
        self.choice.read_only
    }

    /// Locks it against every other process, or with `readonly` against those that write. Does nothing if it is locked
    /// already.
    ///
    /// # Errors
    /// When another process has it, or the file system has no locks.
    pub fn lock(&self) -> Result<(), DiskError> {
        if self.locked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let kind = if self.choice.read_only { libc::F_RDLCK } else { libc::F_WRLCK };
        self.set_lock(kind).map_err(|error| match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EACCES) => DiskError::InUse(self.choice.path.clone()),
            _ => DiskError::Lock(self.choice.path.clone(), error),
        })?;
        self.forget_what_was_read();
        self.locked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Another host may have written to it since this one read it. What is forgotten takes time, which a guest that comes from
    /// there need not stand still for: of what was forgotten before, little is there when it has come.
    pub(crate) fn forget_what_was_read(&self) {
        // SAFETY: a plain call on a descriptor that `self` owns; it only drops pages that nobody has written to.
        unsafe { libc::posix_fadvise(self.file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    }

    /// Gives the lock back.
    pub fn unlock(&self) {
        self.locked.store(false, Ordering::Relaxed);
        if let Err(error) = self.set_lock(libc::F_UNLCK) {
            tracing::warn!("the disk {} stays locked: {error}", self.choice.path.display());
        }
    }

    /// The lock belongs to the open file, and not to the process: it goes when the file is closed, and is not lost when
    /// another part of the process closes the same file.
    fn set_lock(&self, kind: libc::c_int) -> io::Result<()> {
        // SAFETY: zeros are a valid value of this plain structure: from the beginning, to the end, no process.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = i16::try_from(kind).map_err(io::Error::other)?;
        lock.l_whence = i16::try_from(libc::SEEK_SET).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open for as long as `self` lives, and the structure for as long as the call lasts.
        let result = unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    pub(super) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Returns when all that was written will outlive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The image, opened once more.
    pub(super) fn reopened(&self) -> io::Result<File> {
        reopened(&self.file, self.choice.read_only)
    }

    /// Brings all that was written to where another host finds it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> Result<(), DiskError> {
        if self.choice.read_only {
            return Ok(());
        }
        self.for_moving
            .sync_data()
            .map_err(|error| DiskError::Flush(self.choice.path.clone(), error))
    }
}

/// The same file once more, wherever its name leads to by now.
fn reopened(file: &File, read_only: bool) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    File::options().read(true).write(!read_only).open(path)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
