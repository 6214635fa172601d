//! Where guest memory is mapped: so that a huge page of the file can be one of the mapping, and of the guest.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// Of a huge page, and what the mapping begins at a multiple of.
pub(super) const HUGE_PAGE: usize = 2 << 20;

/// A file that is mapped from its beginning on, at an address that is a multiple of 2 MiB. The kernel itself chooses such an address
/// only for those to whom it gives huge pages by itself.
#[derive(Debug)]
pub(super) struct Mapping {
    address: NonNull<u8>,
    size: usize,
}

// SAFETY: what is owned is a range of addresses; nothing here reads or writes what is there.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) const PROTECTION: i32 = libc::PROT_READ | libc::PROT_WRITE;
    pub(super) const FLAGS: i32 = libc::MAP_SHARED | libc::MAP_NORESERVE;

    /// Maps the first `size` bytes of `file`, whole pages.
    pub(super) fn of(file: &File, size: usize) -> io::Result<Self> {
        let with_room = size.checked_add(HUGE_PAGE).ok_or(io::ErrorKind::InvalidInput)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: addresses that nobody has, which the kernel chooses, and nothing is at them.
        let room = unsafe { at(std::ptr::null_mut(), with_room, libc::PROT_NONE, flags, -1) }?;
        let before = room.addr().get().next_multiple_of(HUGE_PAGE) - room.addr().get();
        // SAFETY: the room is longer than `size` by more than what is left out before, so that all of it stays inside.
        let address = unsafe { room.add(before) };
        // SAFETY: both lie in the room, before and after what is used of it, and nothing is there.
        unsafe {
            unmap(room, before);
            unmap(address.add(size), HUGE_PAGE - before);
        }
        let reserved = Self { address, size };
        let flags = Self::FLAGS | libc::MAP_FIXED;
        // SAFETY: what is replaced there is the reserved part of the room, and nothing but that.
        unsafe { at(address.as_ptr(), size, Self::PROTECTION, flags, file.as_raw_fd()) }?;
        Ok(reserved)
    }

    /// Its first byte.
    pub(super) fn address(&self) -> *mut u8 {
        self.address.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: all of it is this mapping's, and who had something in it had the mapping, too.
        unsafe { unmap(self.address, self.size) };
    }
}

/// # Safety
/// With `MAP_FIXED` in `flags` nothing that is still used may lie there.
unsafe fn at(
    address: *mut u8,
    size: usize,
    protection: i32,
    flags: i32,
    file: i32,
) -> io::Result<NonNull<u8>> {
    // SAFETY: the caller's promise; the kernel checks the rest.
    let mapped = unsafe { libc::mmap(address.cast(), size, protection, flags, file, 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(mapped.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// # Safety
/// Nothing that lies there may still be used.
unsafe fn unmap(address: NonNull<u8>, size: usize) {
    if size > 0 {
        // SAFETY: the caller's promise. It fails only where the kernel has no room to note a hole; then addresses stay taken.
        unsafe { libc::munmap(address.as_ptr().cast(), size) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_in_the_file_is_at_an_address_that_fits_huge_pages() {
        let file = super::super::memfd(c"test", 6 << 20, 0).unwrap();
        let mapping = Mapping::of(&file, 6 << 20).unwrap();
        assert!(mapping.address().addr().is_multiple_of(HUGE_PAGE));
        let last = (6 << 20) - 1;
        // SAFETY: one byte inside the mapping, to which nobody else writes.
        unsafe { mapping.address().add(last).write_volatile(7) };
        let mut found = [0];
        file.read_exact_at(&mut found, last as u64).unwrap();
        assert_eq!(found, [7]);
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let file = super::super::memfd(c"test", 2 << 20, 0).unwrap();
        assert!(Mapping::of(&file, usize::MAX).is_err());
        assert!(Mapping::of(&file, 1 << 62).is_err());
    }
}
