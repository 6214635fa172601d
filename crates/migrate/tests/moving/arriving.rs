//! Guests that arrive.

use std::time::Duration;

use landfall_converge::{Limits, Policy};
use landfall_migrate::options::{Adjustment, Options, Uri};
use landfall_migrate::progress::Phase;
use landfall_migrate::report::{EventKind, Outcome, Report};

use crate::guest::{Guest, Shape};
use crate::place::{Folder, UnderWay, Waiting, migrate, narrow};

fn assert_arrived(report: &Report) {
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    let parts = report.downtime_parts_ms;
    let sum = parts.stop
        + parts.last_sync
        + parts.last_pages
        + parts.device_state
        + parts.commit
        + parts.resume;
    assert!((sum - report.downtime_ms).abs() < 1e-6, "{sum} is not {}", report.downtime_ms);
    assert!(report.downtime_ms > 0.0);
    assert!(report.predicted_downtime_ms > 0.0);
    assert!(report.total_ms > report.downtime_ms);
}

#[test]
fn a_guest_with_little_to_do_arrives_over_a_unix_socket_and_is_never_held_back() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::calm());
    let report = migrate(&guest, &Options::to(destination.uri.clone()));
    assert_arrived(&report);
    assert_eq!(report.stolen_ms, 0.0);
    assert_eq!(report.max_throttle, 0.0);
    assert_eq!(report.integrity, "not_checked");
    guest.assert_stands_still();
    destination.arrived().assert_goes_on();
}

#[test]
fn pages_of_zeros_cost_next_to_nothing() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::new(&Shape::calm());
    let report = migrate(&guest, &Options::to(destination.uri.clone()));
    assert_arrived(&report);
    assert_eq!(report.pages.raw, 0);
    assert_eq!(report.pages.zero, 4096);
    assert!(report.sent_bytes < 4096, "{}", report.sent_bytes);
    destination.arrived();
}

#[test]
fn a_guest_that_outruns_the_link_arrives_over_tcp_because_it_is_throttled() {
    let destination = Waiting::at(&Uri::Tcp("127.0.0.1:0".to_owned()));
    let guest = Guest::running(&Shape::busy());
    let options = Options { verify: true, ..narrow(&destination.uri, Policy::Adaptive) };
    let report = migrate(&guest, &options);
    assert_arrived(&report);
    assert!(report.stolen_ms > 0.0);
    assert!(report.max_throttle > 0.0);
    assert!(report.passes >= 2);
    assert_eq!(report.integrity, "ok");
    assert!(report.events.iter().any(|event| matches!(event.kind, EventKind::Throttle { .. })));
    assert!(!report.timeline.is_empty());
    guest.assert_stands_still();
    destination.arrived().assert_goes_on();
}

#[test]
fn a_guest_moves_to_and_fro_and_never_finds_a_wrong_page() {
    let folder = Folder::new();
    let mut guest = Guest::running(&Shape::busy());
    for journey in 0..6 {
        let destination = Waiting::at(&folder.socket(&format!("d{journey}")));
        let report = migrate(&guest, &narrow(&destination.uri, Policy::Adaptive));
        assert_arrived(&report);
        guest.assert_stands_still();
        guest = destination.arrived();
        guest.assert_goes_on();
    }
}

#[test]
fn a_paused_guest_arrives_paused() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::busy());
    guest.pause();
    let options = Options { verify: true, ..Options::to(destination.uri.clone()) };
    let report = migrate(&guest, &options);
    assert_arrived(&report);
    guest.assert_stands_still();
    let moved = destination.arrived();
    moved.assert_stands_still();
    moved.run();
    moved.assert_goes_on();
}

#[test]
fn one_that_cannot_arrive_gives_up_in_time_and_goes_on_where_it_is() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::busy());
    let mut options = narrow(&destination.uri, Policy::Off);
    options.limits.max_downtime = Duration::from_millis(20);
    options.limits.time_limit = Some(Duration::from_millis(1500));
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::GaveUp);
    assert!(report.reason.unwrap().contains("time limit"));
    assert_eq!(report.downtime_ms, 0.0);
    assert!(report.verdict.unwrap().needed_throttle.share() > 0.0);
    guest.assert_goes_on();
    destination.assert_nothing();
}

#[test]
fn a_limit_raised_under_way_lets_it_arrive() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::busy());
    let mut options = narrow(&destination.uri, Policy::Off);
    options.limits.max_downtime = Duration::from_millis(20);
    let under_way = UnderWay::begin(&guest, options);
    under_way.wait_for(Phase::Passes, 2);
    under_way.handle.adjust(Adjustment {
        max_bandwidth: Some(None),
        limits: Some(Limits { max_downtime: Duration::from_secs(5), ..Limits::default() }),
    });
    assert_arrived(&under_way.report());
    guest.assert_stands_still();
    destination.arrived().assert_goes_on();
}

#[test]
fn qemus_rules_arrive_too() {
    for policy in [Policy::Stepped, Policy::Classic] {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let guest = Guest::running(&Shape::calm());
        let report = migrate(&guest, &Options { policy, ..Options::to(destination.uri.clone()) });
        assert_arrived(&report);
        assert_eq!((report.policy, report.auto_converge), (policy, true));
        guest.assert_stands_still();
        destination.arrived().assert_goes_on();
    }
}

#[test]
fn a_switchover_that_does_not_fit_is_broken_off_and_not_tried_again_at_once() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape { pace: 64, ..Shape::busy() });
    let mut options = Options::to(destination.uri.clone());
    options.limits.max_downtime = Duration::from_millis(1);
    options.limits.time_limit = Some(Duration::from_secs(2));
    let report = migrate(&guest, &options);
    assert_eq!(report.outcome, Outcome::GaveUp, "{:?}", report.reason);
    let abandoned = report.events.iter().filter(|event| {
        matches!(event.kind, EventKind::SwitchoverAbandoned { predicted_downtime_ms } if predicted_downtime_ms > 1.0)
    });
    let abandoned = abandoned.count();
    // Left alone for 100, 200, 400, 800 ms, and so on.
    assert!((1..=5).contains(&abandoned), "{abandoned}");
    guest.assert_goes_on();
    destination.assert_nothing();
}
