//! What a vCPU thread asks of the host's scheduler.

use std::io;

/// The slice that a vCPU thread asks for. A thread with a short slice is run soon after it wakes, also on a busy host:
/// that is what ends a stall on time.
const SLICE_NS: u64 = 100_000;

/// `struct sched_attr` as of its first version.
#[repr(C)]
#[derive(Debug, Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const SCHED_ATTR_BYTES: u32 = 48;
const _: () = assert!(size_of::<SchedAttr>() == SCHED_ATTR_BYTES as usize);

/// Asks for short slices for the calling thread, with its priority as it is. Kernels before 6.12 take the request and
/// do nothing with it.
///
/// # Errors
/// When the kernel refuses; the thread runs as before then.
pub(crate) fn ask_for_short_slices() -> io::Result<()> {
    let mut attr = SchedAttr::default();
    // SAFETY: the kernel fills at most the size that it is told, which is the structure's.
    let read =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, SCHED_ATTR_BYTES, 0) };
    if read < 0 {
        return Err(io::Error::last_os_error());
    }
    attr.runtime = SLICE_NS;
    // SAFETY: the structure is valid and only read.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
