#![allow(
    clippy::unwrap_used,
    reason = "a test; the lint does not see that through the second condition"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use landfall_converge::Throttle;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn hour_long_stalls() -> DutyCycle {
    DutyCycle::fixed(Duration::from_secs(1), Duration::from_secs(3600))
}

/// A vCPU thread that reports every permit; "running" is waiting for a kick.
fn vcpu(gate: &Arc<Gate>) -> (thread::JoinHandle<()>, mpsc::Receiver<Permit>) {
    let (seen, permits) = mpsc::channel();
    let gate = Arc::clone(gate);
    let thread = thread::spawn(move || {
        let (kick, kicked) = mpsc::channel();
        gate.attach(Box::new(move || {
            let _ = kick.send(());
        }));
        loop {
            let permit = gate.permit();
            let _ = seen.send(permit);
            match permit {
                Permit::Run(_) => kicked.recv().unwrap(),
                Permit::Stall => gate.stall(),
                Permit::Pause => gate.rest(),
                Permit::Finish => break,
            }
        }
    });
    (thread, permits)
}

fn stalled_for_an_hour() -> (Arc<Gate>, thread::JoinHandle<()>, mpsc::Receiver<Permit>) {
    let gate = Arc::new(Gate::default());
    gate.throttle(Some(hour_long_stalls()), Duration::ZERO);
    gate.run();
    let (thread, permits) = vcpu(&gate);
    while permits.recv().unwrap() != Permit::Stall {}
    (gate, thread, permits)
}

#[test]
fn a_pause_ends_a_stall_at_once_and_the_guest_does_not_run_in_between() {
    let (gate, thread, permits) = stalled_for_an_hour();
    gate.pause();
    gate.wait_stopped(LONG).unwrap();
    assert_eq!(gate.state(), RunState::Paused);
    gate.finish();
    thread.join().unwrap();
    assert_eq!(permits.iter().collect::<Vec<_>>(), [Permit::Pause, Permit::Finish]);
}

#[test]
fn a_release_ends_a_stall_at_once_and_the_guest_runs() {
    let (gate, thread, permits) = stalled_for_an_hour();
    gate.throttle(None, Duration::ZERO);
    assert_eq!(permits.recv().unwrap(), Permit::Run(None));
    gate.finish();
    thread.join().unwrap();
}

#[test]
fn the_end_comes_out_of_every_state() {
    let (gate, thread, _permits) = stalled_for_an_hour();
    gate.finish();
    gate.wait_stopped(LONG).unwrap();
    thread.join().unwrap();
    assert_eq!(gate.state(), RunState::Finished);
    gate.run();
    assert_eq!(gate.state(), RunState::Finished, "nothing undoes the end");
}

#[test]
fn stolen_time_is_the_time_stalled_and_counts_the_stall_under_way() {
    let clock = Arc::new(AtomicUsize::new(1_000));
    let gate = Gate::with_clock({
        let clock = Arc::clone(&clock);
        Box::new(move || Duration::from_millis(clock.load(Ordering::SeqCst) as u64))
    });
    gate.throttle(Some(hour_long_stalls()), Duration::ZERO);
    gate.run();
    assert_eq!(gate.permit(), Permit::Stall);
    clock.store(1_250, Ordering::SeqCst);
    assert_eq!(gate.stolen().total, Duration::from_millis(250));
    gate.pause();
    gate.stall();
    clock.store(9_000, Ordering::SeqCst);
    let stolen = gate.stolen();
    assert_eq!(
        (stolen.total, stolen.longest_stall),
        (Duration::from_millis(250), Duration::from_millis(250))
    );
    gate.reset_stolen();
    assert_eq!(gate.stolen(), StolenTime::default());
}

#[test]
fn a_free_vcpu_has_no_slice_and_a_throttled_one_has_the_slice_of_its_duty() {
    let gate = Gate::with_clock(Box::new(|| Duration::from_secs(7)));
    gate.run();
    assert_eq!(gate.permit(), Permit::Run(None));
    let duty = DutyCycle::bounded(Throttle::new(0.5), Duration::from_millis(10)).unwrap();
    gate.throttle(Some(duty), Duration::from_millis(3));
    assert_eq!(gate.permit(), Permit::Run(Some(Duration::from_millis(3))));
}

#[test]
fn a_vcpu_that_never_leaves_the_guest_is_reported() {
    let gate = Gate::default();
    gate.run();
    assert_eq!(gate.permit(), Permit::Run(None));
    gate.pause();
    assert!(gate.wait_stopped(Duration::from_millis(1)).is_err());
}
