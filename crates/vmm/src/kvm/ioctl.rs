//! The calls that `kvm-ioctls` does not have: reading the dirty log into a buffer of ours, clearing it in chunks, and
//! giving harvested entries of dirty rings back.

use std::io;
use std::mem::offset_of;
use std::os::fd::RawFd;

use crate::signal::BlockedSignals;
use kvm_bindings::{kvm_clear_dirty_log, kvm_dirty_gfn, kvm_dirty_log};

/// `_IOW(KVMIO, 0x42, struct kvm_dirty_log)`
const KVM_GET_DIRTY_LOG: libc::c_ulong = 0x4010_AE42;
/// `_IOWR(KVMIO, 0xC0, struct kvm_clear_dirty_log)`
const KVM_CLEAR_DIRTY_LOG: libc::c_ulong = 0xC018_AEC0;

/// `_IO(KVMIO, 0xC7)`
const KVM_RESET_DIRTY_RINGS: libc::c_ulong = 0xAEC7;

// The numbers above hold the sizes of the structures in bits 16 to 29.
const _: () =
    assert!((KVM_GET_DIRTY_LOG >> 16) & 0x3FFF == size_of::<kvm_dirty_log>() as libc::c_ulong);
const _: () = assert!(
    (KVM_CLEAR_DIRTY_LOG >> 16) & 0x3FFF == size_of::<kvm_clear_dirty_log>() as libc::c_ulong
);

const _: () = assert!(KVM_RESET_DIRTY_RINGS >> 16 == 0, "the call carries no structure");
// An entry of a ring as the kernel lays it out.
const _: () = assert!(size_of::<kvm_dirty_gfn>() == 16 && align_of::<kvm_dirty_gfn>() == 8);
const _: () = assert!(offset_of!(kvm_dirty_gfn, flags) == 0);
const _: () = assert!(offset_of!(kvm_dirty_gfn, slot) == 4);
const _: () = assert!(offset_of!(kvm_dirty_gfn, offset) == 8);

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads a slot's dirty log; with manual protection it stays as it is until cleared.
///
/// `bitmap` must hold one bit for each of the slot's pages, rounded up to whole words; anything smaller is refused.
pub(super) fn get_dirty_log(
    vm: RawFd,
    slot: u32,
    pages: u64,
    bitmap: &mut [u64],
) -> io::Result<()> {
    if (bitmap.len() as u64) < pages.div_ceil(64) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut log = kvm_dirty_log { slot, ..Default::default() };
    log.__bindgen_anon_1.dirty_bitmap = bitmap.as_mut_ptr().cast();
    // SAFETY: the structure is what the call expects, and the kernel writes one bit a page of the slot into the
    // bitmap, which was just checked to be that long and lives across the call.
    checked(unsafe { libc::ioctl(vm, KVM_GET_DIRTY_LOG, &raw const log) })
}

/// Protects those of the slot's pages `first_page..first_page + pages` again whose bit is set in `bitmap`, so that the
/// next write to them is logged.
pub(super) fn clear_dirty_log(
    vm: RawFd,
    slot: u32,
    first_page: u64,
    pages: u32,
    bitmap: &[u64],
) -> io::Result<()> {
    if (bitmap.len() as u64) < u64::from(pages).div_ceil(64) {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    let mut clear =
        kvm_clear_dirty_log { slot, num_pages: pages, first_page, ..Default::default() };
    clear.__bindgen_anon_1.dirty_bitmap = bitmap.as_ptr().cast_mut().cast();
    // SAFETY: the structure is what the call expects; the kernel only reads the bitmap, which was just checked to hold
    // a bit for each of the pages.
    checked(unsafe { libc::ioctl(vm, KVM_CLEAR_DIRTY_LOG, &raw const clear) })
}

/// Protects the pages of all entries again that are marked as harvested in any of the machine's rings, gives the entries
/// back to the kernel, and says how many. No vCPU writes to one of these pages unnoticed once this has returned.
pub(super) fn reset_dirty_rings(vm: RawFd) -> io::Result<u32> {
    // A signal in the middle would end the call without saying how far it came.
    let _blocked = BlockedSignals::all()?;
    // SAFETY: the call takes no argument and touches no memory of ours but the rings, whose harvested entries the kernel
    // owns.
    let count = unsafe { libc::ioctl(vm, KVM_RESET_DIRTY_RINGS, 0) };
    u32::try_from(count).map_err(|_| io::Error::last_os_error())
}
