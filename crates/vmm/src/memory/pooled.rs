//! Memory in huge pages of which the host keeps a pool (hugetlbfs): they are taken when the guest is made, or not at all.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::str::FromStr;

use landfall_converge::Bytes;
use serde::{Deserialize, Serialize};

use super::MemoryError;

/// How large the pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HugePageSize {
    /// 2 MiB.
    #[serde(rename = "2MiB")]
    TwoMiB,
    /// 1 GiB.
    #[serde(rename = "1GiB")]
    OneGiB,
}

impl HugePageSize {
    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        Bytes(match self {
            Self::TwoMiB => 2 << 20,
            Self::OneGiB => 1 << 30,
        })
    }

    pub(super) fn flags(self) -> libc::c_uint {
        libc::MFD_HUGETLB
            | match self {
                Self::TwoMiB => libc::MFD_HUGE_2MB,
                Self::OneGiB => libc::MFD_HUGE_1GB,
            }
    }

    /// That a guest of `size` is made of whole pages.
    pub(super) fn check(self, size: Bytes) -> Result<(), MemoryError> {
        if size.0.is_multiple_of(self.bytes().0) {
            Ok(())
        } else {
            Err(MemoryError::HugePageSize(size, self))
        }
    }

    /// Takes all pages of `file`, which has `bytes`, from the pool: a page that were missing later would end the guest.
    pub(super) fn take(self, file: &File, bytes: u64) -> Result<(), MemoryError> {
        let length = super::signed(bytes)?;
        // SAFETY: a plain call on a descriptor that `file` owns; nothing of the file is mapped yet.
        let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) };
        if result == 0 {
            return Ok(());
        }
        Err(self.missing(bytes, std::io::Error::last_os_error()))
    }

    pub(super) fn missing(self, bytes: u64, error: std::io::Error) -> MemoryError {
        MemoryError::HugePages { count: bytes / self.bytes().0, size: self, error }
    }
}

impl FromStr for HugePageSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<Bytes>().map(|bytes| bytes.0) {
            Ok(0x20_0000) => Ok(Self::TwoMiB),
            Ok(0x4000_0000) => Ok(Self::OneGiB),
            _ => Err("write 2MiB or 1GiB".to_owned()),
        }
    }
}

impl std::fmt::Display for HugePageSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TwoMiB => "2MiB",
            Self::OneGiB => "1GiB",
        })
    }
}

/// Whether `file` is of such pages, whoever has made it.
pub(super) fn is_pooled(file: &File) -> bool {
    let mut system = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is `file`'s, and the kernel writes no more than the structure that it is given.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), system.as_mut_ptr()) };
    // SAFETY: the kernel has filled it in.
    result == 0 && unsafe { system.assume_init() }.f_type == libc::HUGETLBFS_MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_sizes() {
        for (text, size) in [("2MiB", HugePageSize::TwoMiB), ("1GiB", HugePageSize::OneGiB)] {
            assert_eq!(text.parse(), Ok(size));
            assert_eq!(size.to_string(), text);
            assert_eq!(serde_json::to_value(size).unwrap(), text);
        }
        for wrong in ["4KiB", "2", "", "1MiB", "huge"] {
            assert!(wrong.parse::<HugePageSize>().unwrap_err().contains("2MiB or 1GiB"), "{wrong}");
        }
    }

    #[test]
    fn a_guest_is_made_of_whole_pages() {
        assert!(HugePageSize::TwoMiB.check(Bytes(6 << 20)).is_ok());
        let error = HugePageSize::OneGiB.check(Bytes(1536 << 20)).unwrap_err();
        assert!(error.to_string().contains("multiple of 1GiB"), "{error}");
    }
}
