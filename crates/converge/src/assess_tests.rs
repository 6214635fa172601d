use std::time::Duration;

use super::*;
use crate::controller::{Controller, GuestShape};
use crate::sample::{DirtyWindow, Harvest, Sample};
use crate::units::{Bytes, Pages};

const PAGES_PER_MB: u64 = 250;

/// The verdict after a second of samples, of which `sample` gives each by its number.
fn verdict_on(policy: Policy, limits: Limits, sample: impl Fn(u32) -> Sample) -> Verdict {
    let guest = GuestShape { memory: Pages(131_072), vcpus: 1 };
    let mut controller = Controller::new(policy, limits, guest);
    for index in 1..=20 {
        controller.step(sample(index));
    }
    controller.verdict().clone()
}

const TICK: Duration = Duration::from_millis(50);

/// The verdict on a guest that dirties and a link that carries so many MB of 1,024,000 bytes a second, seen for a second.
fn verdict(policy: Policy, limits: Limits, dirties: u64, carries: u64) -> Verdict {
    let dirtied = Pages(dirties * PAGES_PER_MB / 20);
    let sent = Pages(carries * PAGES_PER_MB / 20);
    verdict_on(policy, limits, |index| Sample {
        elapsed: TICK,
        pass: 1,
        sent: sent.bytes(),
        sent_pages: sent,
        remaining: Pages(100_000),
        fixed_downtime: Duration::from_millis(5),
        harvest: Some(Harvest {
            elapsed: TICK,
            guest_ran: TICK,
            dirtied,
            window: DirtyWindow {
                guest_ran: TICK * index,
                distinct: Pages(dirtied.0 * u64::from(index)),
            },
            ended_pass: true,
            ..Harvest::default()
        }),
        ..Sample::default()
    })
}

#[test]
fn a_light_guest_arrives_unaided_and_is_told_how_soon() {
    let verdict = verdict(Policy::Adaptive, Limits::default(), 20, 125);
    assert_eq!(verdict.state, VerdictState::Converging);
    assert_eq!(verdict.needed_throttle, Throttle::NONE);
    assert_eq!(
        verdict.text,
        "the guest dirties 20.5 MB/s, the link carries 128 MB/s: it arrives unaided, about 3.5 s to go"
    );
}

#[test]
fn a_heavy_guest_needs_a_throttle_and_the_number_is_rounded_up() {
    let verdict = verdict(Policy::Off, Limits::default(), 1_000, 125);
    assert_eq!(verdict.state, VerdictState::NeedsThrottle);
    assert_eq!(
        verdict.text,
        "the guest dirties 1.02 GB/s, the link carries 128 MB/s: it does not arrive without auto-converge; \
         a throttle of at least 88 % is needed"
    );
    assert!((verdict.needed_throttle.share() - 0.875).abs() < 1e-3);
}

#[test]
fn what_the_limits_forbid_cannot_converge_and_is_told_what_would_help() {
    let limits = Limits { max_throttle: Throttle::new(0.8), ..Limits::default() };
    let verdict = verdict(Policy::Adaptive, limits, 1_000, 125);
    assert_eq!(verdict.state, VerdictState::CannotConverge);
    assert!(
        verdict.text.ends_with(
            "a throttle of 88 % would be needed, beyond the 80 % allowed; \
             allow a longer downtime, or give it a faster link"
        ),
        "{}",
        verdict.text
    );
}

#[test]
fn classic_is_measured_by_the_three_quarters_that_it_has() {
    let verdict = verdict(Policy::Classic, Limits::default(), 1_000, 125);
    assert_eq!(verdict.state, VerdictState::CannotConverge);
    assert!(verdict.text.contains("dirties at least"), "{}", verdict.text);
    assert!(verdict.text.contains("beyond the 75 % that this policy comes to"), "{}", verdict.text);
}

#[test]
fn a_downtime_shorter_than_its_fixed_part_cannot_be_kept_by_any_throttle() {
    let limits = Limits { max_downtime: Duration::from_millis(4), ..Limits::default() };
    let verdict = verdict(Policy::Adaptive, limits, 1_000, 125);
    assert_eq!(verdict.state, VerdictState::CannotConverge);
    assert!(verdict.text.contains("alone takes 5 ms"), "{}", verdict.text);
}

#[test]
fn nothing_is_claimed_before_something_was_measured() {
    let guest = GuestShape { memory: Pages(1), vcpus: 1 };
    let mut controller = Controller::new(Policy::Adaptive, Limits::default(), guest);
    assert_eq!(controller.verdict().state, VerdictState::Measuring);
    controller.step(Sample {
        elapsed: Duration::from_millis(50),
        sent: Bytes(1),
        remaining: Pages(5),
        ..Sample::default()
    });
    assert_eq!(controller.verdict().state, VerdictState::Measuring);
}

/// The verdict on a guest whose pages leave at once, so that nobody knows what the link carries.
fn verdict_on_one_that_the_link_keeps_up_with(limits: Limits) -> Verdict {
    let pages = Pages(PAGES_PER_MB / 20);
    verdict_on(Policy::Adaptive, limits, |_| Sample {
        elapsed: TICK,
        pass: 2,
        sent: pages.bytes(),
        sent_pages: pages,
        idle: TICK - Duration::from_micros(100),
        remaining: Pages(0),
        fixed_downtime: Duration::from_millis(5),
        harvest: Some(Harvest {
            elapsed: TICK,
            guest_ran: TICK,
            dirtied: pages,
            window: DirtyWindow { guest_ran: TICK, distinct: pages },
            ended_pass: true,
            ..Harvest::default()
        }),
        ..Sample::default()
    })
}

#[test]
fn one_that_the_link_keeps_up_with_does_not_arrive_all_the_same_where_a_stop_alone_takes_too_long()
{
    let verdict = verdict_on_one_that_the_link_keeps_up_with(Limits::default());
    assert_eq!(verdict.state, VerdictState::Converging, "{}", verdict.text);
    assert!(verdict.text.contains("as fast as it came"), "{}", verdict.text);
    let limits = Limits { max_downtime: Duration::from_millis(4), ..Limits::default() };
    let verdict = verdict_on_one_that_the_link_keeps_up_with(limits);
    assert_eq!(verdict.state, VerdictState::CannotConverge, "{}", verdict.text);
    assert!(verdict.text.starts_with("stopping and restarting the guest alone takes 5 ms"));
}
