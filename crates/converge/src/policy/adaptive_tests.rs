use super::*;
use crate::limits::Policy;
use crate::sample::{DirtyWindow, Harvest, Sample};
use crate::units::{PAGE_SIZE, Pages, Throttle};
use crate::{Controller, Decision};

const TICK: Duration = Duration::from_millis(50);
/// Pages that leave in a tick: 125 MB/s.
const LEAVE: u64 = 1_525;
/// Pages that a sweep at 1 GB/s dirties in a tick.
const DIRTIED: u64 = 12_207;

fn controller() -> Controller {
    let guest = GuestShape { memory: Pages(131_072), vcpus: 1 };
    Controller::new(Policy::Adaptive, Limits::default(), guest)
}

/// A tick in which an unthrottled guest dirtied so many pages, as many of them anew as is told.
fn tick(pass: u32, remaining: u64, dirtied: u64, newly: u64) -> Sample {
    Sample {
        elapsed: TICK,
        pass,
        sent: Pages(LEAVE).bytes(),
        sent_pages: Pages(LEAVE),
        remaining: Pages(remaining),
        fixed_downtime: Duration::from_millis(5),
        harvest: Some(Harvest {
            elapsed: TICK,
            guest_ran: TICK,
            dirtied: Pages(dirtied),
            newly_dirty: Pages(newly),
            window: DirtyWindow { guest_ran: TICK, distinct: Pages(dirtied) },
            ..Harvest::default()
        }),
        ..Sample::default()
    }
}

fn throttled_by(decision: &Decision) -> Option<Throttle> {
    match decision {
        Decision::Throttle(throttles) => Some(throttles.hardest()),
        _ => None,
    }
}

#[test]
fn nobody_is_held_back_while_pages_wait_that_the_guest_does_not_touch() {
    let mut controller = controller();
    for _ in 0..40 {
        assert_eq!(controller.step(tick(1, 100_000, DIRTIED, LEAVE)), Decision::KeepOn);
    }
    // The second pass begins: now they have been sent, and each further wait is in vain.
    assert!(throttled_by(&controller.step(tick(2, 32_768, DIRTIED, LEAVE))).is_some());
}

/// A tick of the second pass in which each page that left took so many bytes.
fn again(bytes_per_page: u64) -> Sample {
    let sent = Pages(LEAVE).bytes();
    let resent_pages = Pages(sent.0 / bytes_per_page);
    Sample {
        resent: sent,
        resent_pages,
        sent_pages: resent_pages,
        ..tick(2, 32_768, DIRTIED, LEAVE)
    }
}

#[test]
fn nobody_is_held_back_before_it_was_seen_what_a_page_takes_that_is_sent_again() {
    let mut controller = controller().with_deltas();
    for _ in 0..40 {
        controller.step(tick(1, 60_000, DIRTIED, LEAVE));
    }
    // Whatever the link carries of whole pages, it has carried none for the second time.
    let first_of_second = tick(2, 32_768, DIRTIED, LEAVE);
    assert_eq!(controller.step(first_of_second), Decision::KeepOn);
    assert!(throttled_by(&controller.step(again(PAGE_SIZE))).is_some());
}

#[test]
fn a_guest_that_changes_little_of_each_page_is_not_held_back() {
    let mut controller = controller().with_deltas();
    for _ in 0..40 {
        controller.step(tick(1, 60_000, DIRTIED, LEAVE));
    }
    for index in 0..40 {
        // Sixteen times as many pages leave as would whole.
        let decision = controller.step(again(PAGE_SIZE / 16));
        assert_eq!(throttled_by(&decision), None, "{index}: {}", controller.reason());
    }
}

#[test]
fn a_guest_that_dirties_more_while_it_is_stopped_than_fits_is_held_back_nevertheless() {
    // Some 490 pages until it stands still, of which 430 fit; held back it dirties far fewer.
    let limits = Limits { max_downtime: Duration::from_millis(20), ..Limits::default() };
    let mut controller = controller();
    controller.set_limits(limits);
    let mut throttle = None;
    for _ in 0..20 {
        throttle = throttle.or(throttled_by(&controller.step(tick(2, 32_768, DIRTIED, LEAVE))));
    }
    assert!(throttle.is_some_and(|throttle| throttle.share() > 0.87), "{throttle:?}");
}

#[test]
fn one_bad_harvest_is_no_evidence() {
    let mut controller = controller();
    for index in 0..40 {
        let dirtied = if index % 10 == 0 { DIRTIED } else { 100 };
        let remaining = 60_000 - index * 1_000;
        assert_eq!(controller.step(tick(2, remaining, dirtied, 100)), Decision::KeepOn, "{index}");
    }
}

#[test]
fn what_falls_by_itself_is_left_to_fall() {
    let mut controller = controller();
    // It writes faster than the link, but mostly to pages that wait anyway.
    for index in 0..30 {
        let decision = controller.step(tick(2, 90_000 - index * 1_200, DIRTIED, LEAVE / 5));
        assert_eq!(decision, Decision::KeepOn, "{index}");
    }
}

#[test]
fn a_throttle_is_released_while_nothing_leaves() {
    let mut controller = controller();
    for _ in 0..6 {
        controller.step(tick(2, 32_768, DIRTIED, LEAVE));
    }
    assert!(!controller.throttles().hardest().is_none());
    let silent = Sample { sent: crate::Bytes(0), sent_pages: Pages(0), ..tick(2, 32_768, 0, 0) };
    let decisions: Vec<Decision> = (0..25).map(|_| controller.step(silent.clone())).collect();
    assert!(decisions.iter().filter_map(throttled_by).any(|throttle| throttle.is_none()));
    assert!(controller.throttles().hardest().is_none());
}

#[test]
fn a_throttle_that_does_not_help_is_made_the_hardest_and_then_given_up() {
    let mut controller = controller();
    let mut held: Vec<Throttle> = Vec::new();
    let mut longest = 0;
    let mut ticks = 0;
    for _ in 0..200 {
        // Whatever is done, as many pages become dirty as leave: the writer is none of the vCPUs.
        if let Some(throttle) = throttled_by(&controller.step(tick(2, 32_768, DIRTIED, LEAVE))) {
            held.push(throttle);
        }
        ticks = if controller.throttles().hardest().is_none() { 0 } else { ticks + 1 };
        longest = longest.max(ticks);
    }
    let hardest = Limits::default().hardest_throttle();
    assert!(held.iter().any(|throttle| throttle.share() > hardest.share() - 1e-6), "{held:?}");
    assert!(held.iter().any(|throttle| throttle.is_none()), "{held:?}");
    assert!(longest < 120, "held for {longest} ticks of 50 ms in vain");
}
