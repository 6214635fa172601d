//! How a vCPU thread is made to leave the guest: a signal that is blocked everywhere but inside `KVM_RUN`.
//!
//! Blocked, the signal stays pending when it comes while the thread is outside of the guest, and makes the next entry
//! return at once: no kick is lost, no handler runs, and no other system call of the thread is ever interrupted.

use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use kvm_ioctls::VcpuFd;

/// Not a real-time signal, on purpose: several kicks that wait are one.
const KICK: libc::c_int = libc::SIGUSR1;
/// `_IOW(KVMIO, 0x8B, struct kvm_signal_mask)`
const KVM_SET_SIGNAL_MASK: libc::c_ulong = 0x4004_AE8B;
/// The kernel's own signal set is 64 bits, whatever the C library's is.
const KERNEL_SIGSET_BYTES: u32 = 8;

/// `struct kvm_signal_mask` with a set of 64 bits behind it.
#[repr(C, packed)]
struct SignalMask {
    length: u32,
    set: u64,
}

const _: () = assert!(
    (KVM_SET_SIGNAL_MASK >> 16) & 0x3FFF == 4,
    "the call's size is that of the length alone"
);
const _: () = assert!(mem::offset_of!(SignalMask, set) == 4, "the set follows the length directly");

/// Kicks one thread out of the guest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KickSignal {
    thread: libc::pthread_t,
}

fn kick_set() -> libc::sigset_t {
    // SAFETY: an all-zero set is valid storage, which `sigemptyset` then makes an empty set.
    let mut set = unsafe { mem::zeroed() };
    // SAFETY: the set is ours, and the signal's number is valid.
    unsafe {
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, KICK);
    }
    set
}

impl KickSignal {
    /// Blocks the signal in the calling thread and lets `vcpu` take it inside the guest only.
    pub(crate) fn for_this_thread(vcpu: &VcpuFd) -> io::Result<Self> {
        let set = kick_set();
        // SAFETY: both sets are valid; the previous mask is not asked for.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        // Inside the guest nothing at all is blocked: any signal must get a vCPU out.
        let mask = SignalMask { length: KERNEL_SIGSET_BYTES, set: 0 };
        // SAFETY: the structure is what the call expects, and is only read.
        if unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK, &raw const mask) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: always valid.
        Ok(Self { thread: unsafe { libc::pthread_self() } })
    }

    /// Makes the thread leave the guest, or not enter it. The thread must not have ended.
    pub(crate) fn kick(&self) {
        // SAFETY: the gate kicks only threads that have not ended, under the lock that they end under.
        unsafe { libc::pthread_kill(self.thread, KICK) };
    }

    /// Takes a kick that is pending for the calling thread, if there is one.
    pub(crate) fn consume() {
        let (set, now) = (kick_set(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: set and time are valid; no information on the signal is asked for.
        unsafe { libc::sigtimedwait(&raw const set, ptr::null_mut(), &raw const now) };
    }
}

/// Keeps all signals from the calling thread for as long as it lives.
pub(crate) struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    pub(crate) fn all() -> io::Result<Self> {
        // SAFETY: all-zero sets are valid storage, filled in next.
        let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { mem::zeroed() };
        // SAFETY: the set is ours.
        unsafe { libc::sigfillset(&raw mut set) };
        // SAFETY: both sets are valid.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const set, &raw mut before) };
        if error == 0 { Ok(Self { before }) } else { Err(io::Error::from_raw_os_error(error)) }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was in force before; the present one is not asked for.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut())
        };
    }
}

/// A timer that kicks the thread that made it.
#[derive(Debug)]
pub(crate) struct SliceTimer {
    timer: libc::timer_t,
}

// SAFETY: a timer's identity is valid in every thread of the process; which thread it signals was fixed at creation.
unsafe impl Send for SliceTimer {}

impl SliceTimer {
    /// A timer that kicks the calling thread.
    pub(crate) fn for_this_thread() -> io::Result<Self> {
        // SAFETY: an all-zero event is valid; the fields that matter are set next.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = KICK;
        // SAFETY: always valid.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = ptr::null_mut();
        // SAFETY: the event and the place for the timer's identity are valid.
        if unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) } < 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { timer })
    }

    /// Kicks after `time`, once.
    pub(crate) fn arm(&self, time: Duration) -> io::Result<()> {
        // Zero would disarm the timer.
        self.set(time.max(Duration::from_nanos(1)))
    }

    /// Kicks no more. A kick that has come already stays pending.
    pub(crate) fn disarm(&self) -> io::Result<()> {
        self.set(Duration::ZERO)
    }

    fn set(&self, time: Duration) -> io::Result<()> {
        let value = libc::timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        let spec = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: value,
        };
        // SAFETY: the timer is ours and the specification is valid; the previous one is not asked for.
        if unsafe { libc::timer_settime(self.timer, 0, &raw const spec, ptr::null_mut()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

impl Drop for SliceTimer {
    fn drop(&mut self) {
        // SAFETY: the timer is ours and not used afterwards.
        unsafe { libc::timer_delete(self.timer) };
    }
}
