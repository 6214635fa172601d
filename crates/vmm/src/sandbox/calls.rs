//! The calls into the system that each kind of thread may make. Any other is refused as if the user had no right to it, which
//! is an error where it was made, and not the end of the guest.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::c_long;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule};

use super::SandboxError;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// Memory, locks, time, and its end: without these no thread lives.
const LIFE: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Kicks and slices, and the other end of the serial port.
const VCPU: &[c_long] = &[
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_getattr,
    libc::SYS_sched_setattr,
    libc::SYS_sendto,
    libc::SYS_timer_create,
    libc::SYS_timer_delete,
    libc::SYS_timer_settime,
];

/// Disks, taps and the other end of the console, which are open already.
const DEVICE: &[c_long] = &[
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_lseek,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_sendto,
];

/// Monitor, migrations, snapshots: files, connections, threads.
const PROCESS: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_access,
    libc::SYS_bind,
    libc::SYS_chmod,
    libc::SYS_connect,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_eventfd2,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_getuid,
    libc::SYS_link,
    libc::SYS_linkat,
    libc::SYS_listen,
    libc::SYS_lstat,
    libc::SYS_memfd_create,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_preadv2,
    libc::SYS_prlimit64,
    libc::SYS_pwritev2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_seccomp,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
    libc::SYS_stat,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_umask,
    libc::SYS_uname,
    libc::SYS_unlink,
    libc::SYS_unlinkat,
];

/// The byte that tells KVM's requests from those of all other devices.
const KVM_REQUESTS: u64 = 0xAE00;
/// What else is asked of an open file: its kind of terminal, how much waits in it, not to wait, to be closed on a change of program, a
/// tap, and an interface by its name or number.
const REQUESTS: [u64; 7] = [
    libc::TCGETS,
    libc::FIONREAD,
    libc::FIONBIO,
    libc::FIOCLEX,
    libc::TUNSETIFF,
    libc::SIOCGIFINDEX,
    libc::SIOCGIFNAME,
];
/// What is asked of one's own thread.
const OWN: [i32; 2] = [libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS];
/// Connections to other hosts, sockets in the file system, and the question which interfaces there are.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// What a thread that runs a guest may do.
pub(super) fn of_vcpus() -> Result<BpfProgram, SandboxError> {
    allowing(facing_a_guest(VCPU)?)
}

/// What a thread of a device may do.
pub(super) fn of_devices() -> Result<BpfProgram, SandboxError> {
    let mut rules = facing_a_guest(DEVICE)?;
    // Memory that a guest gives up is given back, and no file gets longer or shorter.
    let hole = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    rules.insert(libc::SYS_fallocate, vec![rule(1, Eq, hole.unsigned_abs().into())?]);
    allowing(rules)
}

/// What the process as a whole may do.
pub(super) fn of_process() -> Result<BpfProgram, SandboxError> {
    let mut rules = freely([LIFE, VCPU, DEVICE, PROCESS].concat());
    let mut requests = vec![rule(1, MaskedEq(0xFF00), KVM_REQUESTS)?];
    for request in REQUESTS {
        requests.push(rule(1, Eq, request)?);
    }
    rules.insert(libc::SYS_ioctl, requests);
    rules.insert(libc::SYS_prctl, each(OWN)?);
    rules.insert(libc::SYS_socket, each(FAMILIES)?);
    // Threads, and no processes.
    let thread = libc::CLONE_THREAD.unsigned_abs().into();
    rules.insert(libc::SYS_clone, vec![rule(0, MaskedEq(thread), thread)?]);
    // Not allowed by the other filter, whose answer would be lost under a refusal of this one.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_tgkill, vec![own_process()?]);
    allowing(rules)
}

/// Has the C library begin threads by the older call: the newer one hides what it is to make from a filter.
pub(super) fn without_new_clone() -> Result<BpfProgram, SandboxError> {
    let missing = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    program(freely(vec![libc::SYS_clone3]), SeccompAction::Allow, missing)
}

/// Life, `more`, KVM, and memory in which there can be no new code.
fn facing_a_guest(more: &[c_long]) -> Result<Rules, SandboxError> {
    let mut rules = freely([LIFE, more].concat());
    let code = libc::PROT_EXEC.unsigned_abs().into();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule(2, MaskedEq(code), 0)?]);
    }
    rules.insert(libc::SYS_ioctl, vec![rule(1, MaskedEq(0xFF00), KVM_REQUESTS)?]);
    rules.insert(libc::SYS_tgkill, vec![own_process()?]);
    Ok(rules)
}

fn freely(calls: Vec<c_long>) -> Rules {
    calls.into_iter().map(|call| (call, Vec::new())).collect()
}

/// One rule for each value that the first argument may have.
fn each<const N: usize>(values: [i32; N]) -> Result<Vec<SeccompRule>, SandboxError> {
    values.into_iter().map(|value| rule(0, Eq, value.unsigned_abs().into())).collect()
}

fn own_process() -> Result<SeccompRule, SandboxError> {
    rule(0, Eq, std::process::id().into())
}

/// Argument number `argument` is, by `comparison`, as `value` says. Where a register has more than 32 bits, the kernel looks at the
/// lower ones only, or nothing is in the others that matters here.
fn rule(
    argument: u8,
    comparison: seccompiler::SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, SandboxError> {
    SeccompCondition::new(argument, Dword, comparison, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(SandboxError::calls)
}

fn allowing(rules: Rules) -> Result<BpfProgram, SandboxError> {
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    program(rules, refused, SeccompAction::Allow)
}

fn program(
    rules: Rules,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<BpfProgram, SandboxError> {
    let architecture = ARCH.try_into().map_err(SandboxError::calls)?;
    SeccompFilter::new(rules, otherwise, matching, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(SandboxError::calls)
}
