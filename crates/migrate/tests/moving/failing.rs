//! Guests whose migration fails: before the commit they go on at the source, after it they never do.

use std::time::Duration;

use landfall_converge::Policy;
use landfall_migrate::ReceiveError;
use landfall_migrate::options::{Options, Uri};
use landfall_migrate::report::{Outcome, Report};

use crate::guest::{Guest, Shape, TestHost};
use crate::place::{Folder, Waiting, migrate, narrow};
use crate::proxy::{At, Fate, Proxy};

/// A guest that is throttled on its way, a destination, and a link between them that fails.
struct Trouble {
    folder: Folder,
    guest: std::sync::Arc<Guest>,
    destination: Waiting,
}

impl Trouble {
    fn new() -> Self {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        Self { guest: Guest::running(&Shape::busy()), destination, folder }
    }

    fn meets(&self, at: At, nth: u32, fate: Fate) -> (Report, Proxy) {
        let proxy = Proxy::new(&self.folder.socket("p"), &self.destination.uri, at, nth, fate);
        let mut options = narrow(&proxy.uri, Policy::Adaptive);
        if fate == Fate::Hold {
            // Before the commit any timeout shows the same; after it only the right one does.
            let patience = if matches!(at, At::Commit | At::Running) { 2000 } else { 300 };
            options.peer_timeout = Duration::from_millis(patience);
        }
        (migrate(&self.guest, &options), proxy)
    }

    /// The guest went on at the source, and nothing came in.
    fn assert_survived(self, report: &Report, proxy: Proxy) -> ReceiveError {
        assert_eq!(report.outcome, Outcome::Failed, "{:?}", report.reason);
        assert_eq!(report.downtime_ms, 0.0);
        self.guest.assert_goes_on();
        drop(proxy);
        // Before it was greeted properly, the destination goes on waiting for somebody else.
        self.destination.handle.cancel();
        self.destination.assert_nothing()
    }
}

#[test]
fn a_connection_cut_before_the_destination_is_ready_leaves_the_guest_at_the_source() {
    for at in At::BEFORE_READY {
        let trouble = Trouble::new();
        let (report, proxy) = trouble.meets(at, 1, Fate::Cut);
        trouble.assert_survived(&report, proxy);
    }
}

#[test]
fn a_connection_cut_when_all_but_the_state_was_sent_lets_a_throttled_guest_go() {
    let trouble = Trouble::new();
    let (report, proxy) = trouble.meets(At::State, 1, Fate::Cut);
    assert!(report.max_throttle > 0.0);
    trouble.assert_survived(&report, proxy);
}

#[test]
fn a_corrupted_message_is_never_believed() {
    for at in At::BEFORE_READY {
        let trouble = Trouble::new();
        let (report, proxy) = trouble.meets(at, 1, Fate::Corrupt);
        trouble.assert_survived(&report, proxy);
    }
}

#[test]
fn the_source_hears_what_the_destination_found_wrong() {
    let trouble = Trouble::new();
    let (report, proxy) = trouble.meets(At::Pages, 5, Fate::Corrupt);
    let reason = report.reason.clone().unwrap();
    assert!(reason.contains("corrupted"), "{reason}");
    trouble.assert_survived(&report, proxy);
}

#[test]
fn a_link_that_stops_in_the_middle_fails_the_migration_when_it_was_waited_for_long_enough() {
    for at in At::BEFORE_READY {
        let trouble = Trouble::new();
        let (report, proxy) = trouble.meets(at, 1, Fate::Hold);
        trouble.assert_survived(&report, proxy);
    }
}

#[test]
fn a_connection_cut_before_the_source_hears_ready_leaves_the_destination_paused_and_in_doubt() {
    let trouble = Trouble::new();
    let (report, _proxy) = trouble.meets(At::Ready, 1, Fate::Cut);
    assert_eq!(report.outcome, Outcome::Failed, "{:?}", report.reason);
    trouble.guest.assert_goes_on();
    let (arrival, guest) = trouble.destination.outcome();
    assert!(arrival.unwrap().in_doubt);
    assert!(!guest.unwrap().is_running());
}

#[test]
fn a_destination_that_was_ready_is_told_when_the_source_goes_on() {
    for fate in [Fate::Corrupt, Fate::Hold] {
        let trouble = Trouble::new();
        let (report, proxy) = trouble.meets(At::Ready, 1, fate);
        let error = trouble.assert_survived(&report, proxy);
        assert!(matches!(error, ReceiveError::CalledOff(_)), "{error:?}");
    }
}

#[test]
fn once_the_commit_was_sent_the_source_never_runs_the_guest_again() {
    for fate in [Fate::Cut, Fate::Corrupt, Fate::Hold] {
        let trouble = Trouble::new();
        let (report, proxy) = trouble.meets(At::Commit, 1, fate);
        assert_eq!(report.outcome, Outcome::InDoubt, "{fate:?}: {:?}", report.reason);
        assert!(report.reason.unwrap().ends_with("landfall settle SOCKET run|discard"));
        trouble.guest.assert_stands_still();
        drop(proxy);
        let (arrival, guest) = trouble.destination.outcome();
        // A commit that was only late is one nevertheless.
        assert_eq!(arrival.unwrap().in_doubt, fate != Fate::Hold);
        assert_eq!(guest.unwrap().is_running(), fate == Fate::Hold);
        trouble.guest.assert_stands_still();
    }
}

#[test]
fn a_guest_that_runs_unheard_is_in_doubt_at_the_source_only() {
    for fate in [Fate::Cut, Fate::Corrupt, Fate::Hold] {
        let trouble = Trouble::new();
        let (report, proxy) = trouble.meets(At::Running, 1, fate);
        assert_eq!(report.outcome, Outcome::InDoubt, "{fate:?}: {:?}", report.reason);
        trouble.guest.assert_stands_still();
        drop(proxy);
        trouble.destination.arrived().assert_goes_on();
        trouble.guest.assert_stands_still();
    }
}

#[test]
fn what_the_destination_refuses_with_is_read_at_the_source() {
    let folder = Folder::new();
    let host = TestHost { refusal: Some("only 3 of 12 GiB are free"), ..TestHost::default() };
    let destination = Waiting::with_host(&folder.socket("d"), host);
    let guest = Guest::running(&Shape::busy());
    let report = migrate(&guest, &Options::to(destination.uri.clone()));
    assert_eq!(report.outcome, Outcome::Failed);
    let reason = report.reason.unwrap();
    assert!(reason.contains("only 3 of 12 GiB are free"), "{reason}");
    guest.assert_goes_on();
    destination.assert_nothing();
}

#[test]
fn a_destination_that_is_not_there_is_named() {
    let folder = Folder::new();
    let guest = Guest::running(&Shape::busy());
    for uri in [folder.socket("nobody"), Uri::Tcp("127.0.0.1:1".to_owned())] {
        let report = migrate(&guest, &Options::to(uri));
        assert_eq!(report.outcome, Outcome::Failed);
        assert!(report.reason.unwrap().contains("cannot be reached"));
        guest.assert_goes_on();
    }
}
