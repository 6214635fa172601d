use super::*;
use crate::sample::{DirtyWindow, Harvest, Sample};
use crate::units::Pages;
use crate::{Controller, Decision, GuestShape, VerdictState};

/// Pages that leave in a second: 125 MB/s.
const LEAVE: u64 = 30_517;
/// The guest's working set, 128 MiB.
const SET: u64 = 32_768;

fn controller() -> Controller {
    let guest = GuestShape { memory: Pages(131_072), vcpus: 1 };
    Controller::steering(Limits::default(), guest)
}

/// The end of a pass of so many milliseconds, in which the guest dirtied so many pages at the throttle that was in force.
fn pass_end(pass: u32, millis: u64, dirtied: u64, in_force: f64) -> Sample {
    let elapsed = Duration::from_millis(millis);
    let guest_ran = elapsed.mul_f64(1.0 - in_force);
    let sent = Pages(LEAVE * millis / 1_000);
    Sample {
        elapsed,
        pass,
        sent: sent.bytes(),
        sent_pages: sent,
        remaining: Pages(dirtied),
        harvest: Some(Harvest {
            elapsed,
            guest_ran,
            dirtied: Pages(dirtied),
            newly_dirty: Pages(dirtied),
            window: DirtyWindow { guest_ran, distinct: Pages(dirtied) },
            ended_pass: true,
            ..Harvest::default()
        }),
        ..Sample::default()
    }
}

/// The throttle that was decided, in per cent; 0 for letting go.
fn decided(decision: &Decision) -> Option<f64> {
    match decision {
        Decision::Throttle(throttles) => Some((throttles.hardest().share() * 100.0).round()),
        _ => None,
    }
}

/// A controller that has been told of a sweep that outruns the link.
fn holding() -> Controller {
    let mut controller = controller();
    assert_eq!(decided(&controller.step(pass_end(1, 1_074, SET, 0.0))), Some(95.0));
    controller
}

#[test]
fn a_guest_that_rewrites_all_it_has_is_held_at_once_as_hard_as_it_bears() {
    let controller = holding();
    assert_eq!(controller.verdict().state, VerdictState::NeedsThrottle);
    assert!(controller.verdict().text.contains("at least"), "{}", controller.verdict().text);
    assert!(controller.reason().contains("at least"), "{}", controller.reason());
}

#[test]
fn a_limit_on_the_throttle_is_kept() {
    let limits = Limits { max_throttle: Throttle::new(0.8), ..Limits::default() };
    let guest = GuestShape { memory: Pages(131_072), vcpus: 1 };
    let mut controller = Controller::steering(limits, guest);
    assert_eq!(decided(&controller.step(pass_end(1, 1_074, SET, 0.0))), Some(80.0));
    // It does not do, but no harder one is allowed.
    assert_eq!(decided(&controller.step(pass_end(2, 1_074, SET, 0.8))), None);
}

#[test]
fn a_guest_that_arrives_unaided_is_left_alone() {
    let mut controller = controller();
    for pass in 1..=5 {
        assert_eq!(decided(&controller.step(pass_end(pass, 1_074, SET / 2, 0.0))), None);
    }
    assert_eq!(controller.verdict().state, VerdictState::Converging);
}

#[test]
fn nothing_is_concluded_from_a_throttle_that_is_not_in_force_yet() {
    let mut controller = holding();
    for pass in 2..=4 {
        assert_eq!(decided(&controller.step(pass_end(pass, 1_074, SET, 0.0))), None);
    }
}

#[test]
fn a_throttle_that_does_not_do_is_made_harder_by_what_was_seen_under_it() {
    let mut controller = holding();
    // Five per cent of the time is enough for it to rewrite everything: it dirties at least 2.4 GB/s.
    assert_eq!(decided(&controller.step(pass_end(2, 1_074, SET, 0.95))), Some(98.0));
    assert_eq!(decided(&controller.step(pass_end(3, 1_074, SET, 0.98))), Some(99.0));
    assert_eq!(decided(&controller.step(pass_end(4, 1_074, SET, 0.99))), None);
}

#[test]
fn a_throttle_that_does_is_kept() {
    let mut controller = holding();
    for pass in 2..=4 {
        assert_eq!(decided(&controller.step(pass_end(pass, 1_074, SET / 2, 0.95))), None);
    }
}

#[test]
fn a_burst_that_ends_lets_go_and_one_that_comes_back_is_believed_less() {
    let mut controller = holding();
    let calm = |pass, in_force| Sample {
        remaining: Pages(100_000),
        ..pass_end(pass, 1_074, 100, in_force)
    };
    assert_eq!(decided(&controller.step(calm(2, 0.95))), Some(0.0));
    for (from, looks) in [(3, 2), (6, 4)] {
        assert_eq!(decided(&controller.step(pass_end(from, 1_074, SET, 0.0))), Some(95.0));
        for look in 1..=looks {
            let let_go = decided(&controller.step(calm(from + look, 0.95)));
            assert_eq!(let_go, Some(0.0).filter(|_| look == looks), "{from} {look}");
        }
    }
}

#[test]
fn what_was_not_carried_out_yet_is_taken_back_when_the_guest_turns_out_to_be_calm() {
    let mut controller = holding();
    let calm = Sample { remaining: Pages(100_000), ..pass_end(2, 1_074, 100, 0.0) };
    assert_eq!(decided(&controller.step(calm)), Some(0.0));
}
