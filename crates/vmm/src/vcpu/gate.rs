//! The hand-shake between a vCPU thread and those who throttle, pause and end it.
//!
//! ```text
//!            run slice over                pause
//!   Running ────────────────▶ Throttled ─────────────▶ Paused
//!      ▲ ▲                      │   │                  ▲ │ │
//!      │ └──────────────────────┘   │   pause          │ │ │
//!      │   stall over, released     └── (never through Running)
//!      │                                               │ │ │
//!      ├──────────────────── pause ────────────────────┘ │ │
//!      └──────────────────── run ────────────────────────┘ │
//!                    finish, from anywhere ──▶ Finished ◀──┘
//! ```
//!
//! One mutex holds all of it. A vCPU that stalls or is paused waits on a condition variable and so reacts at once; one
//! that is inside the guest is kicked out. Kicks are sticky: one that comes just before the guest is entered makes the
//! entry return at once, so that none is lost.

use std::fmt;
use std::time::Duration;

use landfall_converge::DutyCycle;
use landfall_migrate::machine::StolenTime;

use super::rhythm::{Moment, Rhythm};
use crate::sync::{Condvar, Mutex, MutexGuard, lock};

/// What a vCPU thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Inside the guest, or on its way there.
    Running,
    /// Held back by the throttle.
    Throttled,
    /// Stopped; nothing of the guest runs on this vCPU.
    Paused,
    /// The thread has ended.
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Run,
    Pause,
    Finish,
}

/// What a vCPU thread may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Enter the guest, for that long at most.
    Run(Option<Duration>),
    /// Call [`Gate::stall`].
    Stall,
    /// Call [`Gate::rest`].
    Pause,
    /// End.
    Finish,
}

struct Inner {
    wanted: Wanted,
    state: RunState,
    rhythm: Option<Rhythm>,
    stall_began: Option<Moment>,
    stolen: StolenTime,
    kick: Option<Box<dyn Fn() + Send>>,
    thread_id: i32,
}

/// A vCPU did not stop in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a vCPU did not stop within {0:?}; end the process if the guest must not go on")]
pub struct PauseTimeout(Duration);

/// One vCPU's hand-shake.
pub struct Gate {
    inner: Mutex<Inner>,
    /// Something is wanted of the vCPU thread.
    wanted: Condvar,
    /// The vCPU thread has got somewhere.
    reached: Condvar,
    now: Box<dyn Fn() -> Moment + Send + Sync>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("state", &self.state()).finish_non_exhaustive()
    }
}

impl Default for Gate {
    fn default() -> Self {
        let origin = std::time::Instant::now();
        Self::with_clock(Box::new(move || origin.elapsed()))
    }
}

impl Gate {
    /// A gate that is paused, and tells time by `now`, which must never go backwards.
    pub(super) fn with_clock(now: Box<dyn Fn() -> Moment + Send + Sync>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                wanted: Wanted::Pause,
                state: RunState::Paused,
                rhythm: None,
                stall_began: None,
                stolen: StolenTime::default(),
                kick: None,
                thread_id: 0,
            }),
            wanted: Condvar::new(),
            reached: Condvar::new(),
            now,
        }
    }

    /// What the vCPU is doing.
    #[must_use]
    pub fn state(&self) -> RunState {
        lock(&self.inner).state
    }

    /// The duty cycle that it is held to; `None` when it is free.
    #[must_use]
    pub fn duty(&self) -> Option<DutyCycle> {
        lock(&self.inner).rhythm.map(|rhythm| rhythm.duty())
    }

    /// The number of its thread as the kernel knows it; 0 before the thread has begun.
    #[must_use]
    pub fn thread_id(&self) -> i32 {
        lock(&self.inner).thread_id
    }

    /// How long it was held back, the stall under way included.
    #[must_use]
    pub fn stolen(&self) -> StolenTime {
        let inner = lock(&self.inner);
        let current =
            inner.stall_began.map_or(Duration::ZERO, |began| (self.now)().saturating_sub(began));
        StolenTime {
            total: inner.stolen.total + current,
            longest_stall: inner.stolen.longest_stall.max(current),
        }
    }

    /// Counts stolen time from zero again, and from now where a stall is under way.
    pub fn reset_stolen(&self) {
        let mut inner = lock(&self.inner);
        inner.stolen = StolenTime::default();
        if inner.stall_began.is_some() {
            inner.stall_began = Some((self.now)());
        }
    }

    /// Holds the vCPU back as `duty` says, or lets it go. The first stall comes after `offset`, by which vCPUs are
    /// staggered; a vCPU that is throttled already keeps its phase.
    pub fn throttle(&self, duty: Option<DutyCycle>, offset: Duration) {
        let mut inner = lock(&self.inner);
        match (duty, &mut inner.rhythm) {
            (None, None) => return,
            (None, rhythm) => *rhythm = None,
            (Some(duty), Some(rhythm)) => rhythm.change(duty),
            (Some(duty), rhythm) => *rhythm = Some(Rhythm::begin(duty, (self.now)(), offset)),
        }
        self.notify(&inner);
    }

    /// Asks the vCPU to stop, and does not wait for it.
    pub fn pause(&self) {
        self.want(Wanted::Pause);
    }

    /// Lets the vCPU go on.
    pub fn run(&self) {
        self.want(Wanted::Run);
    }

    /// Asks the thread to end, and does not wait for it.
    pub fn finish(&self) {
        self.want(Wanted::Finish);
    }

    fn want(&self, wanted: Wanted) {
        let mut inner = lock(&self.inner);
        // Nothing undoes the end.
        if inner.wanted != Wanted::Finish {
            inner.wanted = wanted;
        }
        self.notify(&inner);
    }

    fn notify(&self, inner: &Inner) {
        self.wanted.notify_all();
        // A finished thread's identity may be somebody else's by now. The lock is held, so it cannot finish meanwhile.
        if inner.state == RunState::Running
            && let Some(kick) = &inner.kick
        {
            kick();
        }
    }

    /// Waits until nothing of the guest runs on this vCPU.
    ///
    /// # Errors
    /// When that takes longer than `timeout`.
    pub fn wait_stopped(&self, timeout: Duration) -> Result<(), PauseTimeout> {
        let mut inner = lock(&self.inner);
        let deadline = (self.now)() + timeout;
        while !matches!(inner.state, RunState::Paused | RunState::Finished) {
            let left = deadline.saturating_sub((self.now)());
            if left.is_zero() {
                return Err(PauseTimeout(timeout));
            }
            inner = wait_for(&self.reached, inner, left);
        }
        Ok(())
    }

    /// Called once, by the vCPU thread before anything else: `kick` makes it leave the guest.
    pub(super) fn attach(&self, kick: Box<dyn Fn() + Send>) {
        let mut inner = lock(&self.inner);
        inner.kick = Some(kick);
        // SAFETY: always valid.
        inner.thread_id = unsafe { libc::gettid() };
    }

    /// What the vCPU thread may do now.
    pub(super) fn permit(&self) -> Permit {
        let mut inner = lock(&self.inner);
        match inner.wanted {
            Wanted::Finish => self.reach(inner, RunState::Finished, Permit::Finish),
            Wanted::Pause => self.reach(inner, RunState::Paused, Permit::Pause),
            Wanted::Run => {
                let Some(rhythm) = inner.rhythm else {
                    return self.reach(inner, RunState::Running, Permit::Run(None));
                };
                let now = (self.now)();
                if now < rhythm.run_until() {
                    let slice = rhythm.run_until() - now;
                    return self.reach(inner, RunState::Running, Permit::Run(Some(slice)));
                }
                inner.stall_began = Some(now);
                self.reach(inner, RunState::Throttled, Permit::Stall)
            }
        }
    }

    fn reach(&self, mut inner: MutexGuard<'_, Inner>, state: RunState, permit: Permit) -> Permit {
        if inner.state != state {
            inner.state = state;
            self.reached.notify_all();
        }
        permit
    }

    /// Stalls until the stall is over or something else is wanted.
    pub(super) fn stall(&self) {
        let mut inner = lock(&self.inner);
        let Some(began) = inner.stall_began else { return };
        let mut now = began;
        if let Some(rhythm) = &mut inner.rhythm {
            let mut until = rhythm.stall(began);
            while now < until && inner.wanted == Wanted::Run {
                inner = wait_for(&self.wanted, inner, until - now);
                now = (self.now)();
                // The duty may have changed meanwhile; a stall only ever becomes shorter by it.
                match &inner.rhythm {
                    Some(rhythm) => until = until.min(rhythm.stall_until()),
                    None => break,
                }
            }
        }
        // Measured again at the very end: this is what the guest felt.
        now = (self.now)();
        let stall = now.saturating_sub(began);
        inner.stall_began = None;
        inner.stolen.total += stall;
        inner.stolen.longest_stall = inner.stolen.longest_stall.max(stall);
        if let Some(rhythm) = &mut inner.rhythm {
            rhythm.run(now);
        }
    }

    /// Rests until something other than a pause is wanted.
    pub(super) fn rest(&self) {
        let mut inner = lock(&self.inner);
        while inner.wanted == Wanted::Pause {
            inner = self.wanted.wait(inner).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// The thread ends of itself, whatever is wanted: the guest has shut down, or cannot go on.
    pub(super) fn end(&self) {
        let mut inner = lock(&self.inner);
        inner.wanted = Wanted::Finish;
        inner.state = RunState::Finished;
        self.reached.notify_all();
    }
}

fn wait_for<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, time).unwrap_or_else(std::sync::PoisonError::into_inner).0
}

#[cfg(all(test, not(loom)))]
#[path = "gate_tests.rs"]
mod tests;

#[cfg(all(test, loom))]
#[path = "gate_model.rs"]
mod loom_model;
