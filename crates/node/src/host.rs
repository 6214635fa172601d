//! This host, as far as guests depend on it: images, who holds them, and interfaces.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use serde::{Deserialize, Serialize};

/// Where the kernel tells of interfaces.
const INTERFACES: &str = "/sys/class/net";
/// In the flags of a tap: that it is one, and that it has several queues.
const TAP: u32 = 2;
const MULTI_QUEUE: u32 = 0x100;

/// Which run of which kernel this is: on one host the same for all, and another after it was started anew.
#[must_use]
pub fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// A disk image of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Where it is.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: u64,
    /// `raw`, or another format that is known by how it begins.
    pub format: String,
    /// Whether somebody has it locked against this use.
    pub locked: bool,
}

impl Image {
    /// The image at `path`, opened as its guest would have it.
    ///
    /// # Errors
    /// When it cannot be opened so.
    pub fn at(path: &Path, read_only: bool) -> io::Result<Self> {
        let mut file = File::options().read(true).write(!read_only).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let locked = is_locked(&file, read_only)?;
        let mut head = Vec::new();
        (&file).take(8).read_to_end(&mut head)?;
        // A block device does not say its size in any other way.
        let bytes = file.seek(SeekFrom::End(0))?;
        let format = format(&head).to_owned();
        Ok(Self { path: path.to_owned(), bytes, format, locked })
    }
}

fn format(head: &[u8]) -> &'static str {
    match head {
        [b'Q', b'F', b'I', 0xfb, ..] => "qcow2",
        [b'K', b'D', b'M', b'V', ..] => "vmdk",
        b"vhdxfile" => "vhdx",
        _ => "raw",
    }
}

/// Only asks: a lock that is taken to see whether it can be had might be what a guest needs at just that moment.
fn is_locked(file: &File, read_only: bool) -> io::Result<bool> {
    let kind = if read_only { libc::F_RDLCK } else { libc::F_WRLCK };
    let mut lock = libc::flock {
        l_type: i16::try_from(kind).map_err(io::Error::other)?,
        l_whence: i16::try_from(libc::SEEK_SET).map_err(io::Error::other)?,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)) {
        Ok(_) => Ok(i32::from(lock.l_type) != libc::F_UNLCK),
        // There are no locks, so nobody has one.
        Err(nix::Error::EINVAL | nix::Error::ENOLCK | nix::Error::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The processes of this host that have a lock on the file at `path`, as far as this user may see them.
#[must_use]
pub fn lock_holders(path: &Path) -> Vec<u32> {
    let Ok(file) = fs::metadata(path) else { return Vec::new() };
    let same = |fd: &Path| {
        fs::metadata(fd).is_ok_and(|it| (it.dev(), it.ino()) == (file.dev(), file.ino()))
    };
    holders(|fd, about| about.lines().any(|line| line.starts_with("lock:")) && same(fd))
}

/// The processes of this host that hold the tap of this name, as far as this user may see them.
#[must_use]
pub fn tap_holders(name: &str) -> Vec<u32> {
    let is_it = |line: &str| line.strip_prefix("iff:").is_some_and(|iff| iff.trim() == name);
    holders(|_, about| about.lines().any(is_it))
}

/// The processes with a descriptor (its path, and what the kernel tells about it) that is `wanted`.
fn holders(wanted: impl Fn(&Path, &str) -> bool) -> Vec<u32> {
    let has = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fdinfo")).into_iter().flatten().flatten();
        descriptors.into_iter().any(|entry| {
            let about = fs::read_to_string(entry.path()).unwrap_or_default();
            wanted(&process.join("fd").join(entry.file_name()), &about)
        })
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        has(&entry.path()).then_some(pid)
    });
    numbered.collect()
}

/// An interface of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Whether it is a tap of one queue, which a machine can hold.
    pub is_tap: bool,
    /// Whether frames can go through it at all.
    pub is_up: bool,
    /// Whether a process holds it; not known of one that is down.
    pub taken: Option<bool>,
}

impl Interface {
    /// The one of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let folder = Path::new(INTERFACES).join(name);
        if name.is_empty() || name.contains('/') || !folder.exists() {
            return None;
        }
        let number = |file: &str| {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
        };
        let flags = number("tun_flags").unwrap_or_default();
        Some(Self {
            is_tap: flags & TAP != 0 && flags & MULTI_QUEUE == 0,
            is_up: number("flags").is_some_and(|flags| flags & 1 != 0),
            // A tap has a carrier as long as there is a process at its other end.
            taken: number("carrier").map(|carrier| carrier == 1),
        })
    }
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
