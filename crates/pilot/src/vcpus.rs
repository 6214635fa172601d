//! Whether vCPUs are held as QEMU says, by the processor time that their threads take.
//!
//! QEMU marks a vCPU as about to be held, and has the vCPU take the mark away when it was held. When the throttle ends
//! between the two, as it does where a migration is called off, the mark may stay; and then that vCPU is never held again,
//! whatever QEMU says, until QEMU is started anew. Seen in QEMU 10.0.

use std::fmt;
use std::time::Duration;

use landfall_converge::Throttle;
use landfall_qmp::CpuInfo;

/// Longer than QEMU's longest stall, which is a second, by far.
const WINDOW: Duration = Duration::from_secs(3);
/// A softer throttle leaves too little between what may be taken and all.
const SOFTEST: f64 = 0.5;
/// What a vCPU may take beyond its share: being stopped takes its time, above all on a busy host.
const ROOM: f64 = 0.25;

/// How long a thread has run so far, if that can be known.
type Clock = fn(i32) -> Option<Duration>;

/// The threads of a guest's vCPUs.
#[derive(Debug)]
pub(crate) struct Vcpus {
    threads: Vec<i32>,
    clock: Clock,
    window: Option<Window>,
}

/// A time for which QEMU said the same.
#[derive(Debug)]
struct Window {
    throttle: Throttle,
    began: Duration,
    had_run: Vec<Option<Duration>>,
}

/// Not all are held as QEMU says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Escaped {
    throttle: Throttle,
    vcpus: usize,
    of: usize,
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (per_cent, Self { vcpus, of, .. }) = (self.throttle.share() * 100.0, self);
        write!(
            f,
            "QEMU says that it holds every vCPU at {per_cent:.0} %, but {vcpus} of {of} run on all the same. A throttled \
             migration that was called off can leave a QEMU so, and it stays so until QEMU is started anew: no throttle \
             helps. Let the guest be away for longer, use post-copy or a faster link, or move it shut down"
        )
    }
}

impl Vcpus {
    pub(crate) fn new(cpus: &[CpuInfo]) -> Self {
        Self::timed_by(cpus.iter().map(|cpu| cpu.thread_id).collect(), run_time)
    }

    fn timed_by(threads: Vec<i32>, clock: Clock) -> Self {
        Self { threads, clock, window: None }
    }

    pub(crate) fn count(&self) -> usize {
        self.threads.len().max(1)
    }

    /// Looks whether they are held, when QEMU says that they are since long enough. `now` is since the migration began.
    pub(crate) fn look(&mut self, throttle: Throttle, now: Duration) -> Option<Escaped> {
        if throttle.share() < SOFTEST {
            self.window = None;
            return None;
        }
        let Some(window) = self.window.as_ref().filter(|window| window.throttle == throttle) else {
            self.window = Some(self.window(throttle, now));
            return None;
        };
        let lasted = now.saturating_sub(window.began);
        if lasted < WINDOW {
            return None;
        }
        let allowed = lasted.mul_f64(throttle.run_share() + ROOM);
        let since = self.window(throttle, now);
        let ran = window.had_run.iter().zip(&since.had_run);
        let vcpus = ran.filter(|(before, after)| matches!((before, after), (Some(before), Some(after)) if after.saturating_sub(*before) > allowed)).count();
        self.window = Some(since);
        (vcpus > 0).then_some(Escaped { throttle, vcpus, of: self.threads.len() })
    }

    fn window(&self, throttle: Throttle, now: Duration) -> Window {
        let had_run = self.threads.iter().map(|thread| (self.clock)(*thread)).collect();
        Window { throttle, began: now, had_run }
    }
}

/// What the kernel tells of a thread of a QEMU on this host. From within another PID namespace its number may be that of
/// something else, or of nothing.
fn run_time(thread: i32) -> Option<Duration> {
    let read = |what: &str| std::fs::read_to_string(format!("/proc/{thread}/{what}")).ok();
    let name = read("comm")?;
    if !["qemu", "kvm", "CPU "].iter().any(|of_qemu| name.starts_with(of_qemu)) {
        return None;
    }
    let nanoseconds = read("schedstat")?.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
#[path = "vcpus_tests.rs"]
mod tests;
