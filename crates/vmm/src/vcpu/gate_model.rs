//! Every interleaving of throttle, pause, cancel and end with a vCPU thread, by loom.
//!
//! loom's waits never time out, so a stall or a pause ends only because somebody wakes it: a lost wake-up or a lost
//! kick is a deadlock, which loom reports.

#![allow(
    clippy::unwrap_used,
    reason = "a test; the lint does not see that through the second condition"
)]

use loom::sync::{Arc, Notify};
use loom::thread;

use super::*;

const DUTY_STALL: Duration = Duration::from_millis(10);

fn duty() -> DutyCycle {
    DutyCycle::fixed(DUTY_STALL, DUTY_STALL)
}

/// A vCPU thread whose guest runs until it is kicked. Gives what it saw: whether the guest ran while a pause was in
/// force is checked by the one who paused it, through `inside`.
fn vcpu(gate: Arc<Gate>, inside: Arc<loom::sync::atomic::AtomicBool>) -> thread::JoinHandle<()> {
    use loom::sync::atomic::Ordering::SeqCst;
    thread::spawn(move || {
        let kicked = Arc::new(Notify::new());
        gate.attach(Box::new({
            let kicked = Arc::clone(&kicked);
            move || kicked.notify()
        }));
        loop {
            match gate.permit() {
                Permit::Run(_) => {
                    inside.store(true, SeqCst);
                    kicked.wait();
                    inside.store(false, SeqCst);
                }
                Permit::Stall => gate.stall(),
                Permit::Pause => gate.rest(),
                Permit::Finish => break,
            }
        }
    })
}

/// A clock that stands still: a slice never ends by itself, and neither does a stall.
fn frozen() -> Gate {
    Gate::with_clock(Box::new(|| Duration::from_secs(1)))
}

fn check(controllers: impl Fn(&Arc<Gate>, &dyn Fn()) + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let gate = Arc::new(frozen());
        let inside = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        gate.run();
        let thread = vcpu(Arc::clone(&gate), Arc::clone(&inside));
        controllers(&gate, &|| {
            assert!(
                !inside.load(loom::sync::atomic::Ordering::SeqCst),
                "the guest runs while it is paused"
            );
        });
        gate.finish();
        thread.join().unwrap();
        assert_eq!(gate.state(), RunState::Finished);
        assert!(gate.stolen().total <= DUTY_STALL);
    });
}

#[test]
fn a_pause_always_stops_a_throttled_or_running_vcpu() {
    check(|gate, assert_stopped| {
        gate.throttle(Some(duty()), Duration::ZERO);
        gate.pause();
        gate.wait_stopped(Duration::from_secs(1)).unwrap();
        assert_stopped();
        assert_eq!(gate.state(), RunState::Paused);
    });
}

#[test]
fn a_throttle_set_by_one_thread_and_a_pause_by_another_never_lose_each_other() {
    check(|gate, assert_stopped| {
        let throttler = thread::spawn({
            let gate = Arc::clone(gate);
            move || gate.throttle(Some(duty()), Duration::ZERO)
        });
        gate.pause();
        gate.wait_stopped(Duration::from_secs(1)).unwrap();
        assert_stopped();
        throttler.join().unwrap();
        assert_stopped();
    });
}

#[test]
fn a_cancel_that_releases_and_runs_again_never_leaves_the_vcpu_throttled_or_paused() {
    check(|gate, assert_stopped| {
        gate.throttle(Some(duty()), Duration::ZERO);
        gate.pause();
        gate.wait_stopped(Duration::from_secs(1)).unwrap();
        assert_stopped();
        gate.throttle(None, Duration::ZERO);
        gate.run();
    });
}

#[test]
fn a_cancel_and_a_pause_at_the_same_moment_end_in_one_of_the_two() {
    check(|gate, _| {
        gate.throttle(Some(duty()), Duration::ZERO);
        let canceller = thread::spawn({
            let gate = Arc::clone(gate);
            move || {
                gate.throttle(None, Duration::ZERO);
                gate.run();
            }
        });
        gate.pause();
        canceller.join().unwrap();
    });
}
