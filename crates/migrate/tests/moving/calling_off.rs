//! Cancelling, at either end and at every moment.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use landfall_converge::Policy;
use landfall_migrate::ReceiveError;
use landfall_migrate::options::{Options, Uri};
use landfall_migrate::progress::Phase;
use landfall_migrate::report::Outcome;

use crate::guest::{Guest, Shape};
use crate::place::{Folder, UnderWay, Waiting, narrow};
use crate::proxy::{At, Fate, Proxy};

#[test]
fn cancelled_before_it_began_it_never_begins() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::busy());
    let (handle, control) = landfall_migrate::control();
    handle.cancel();
    let report = landfall_migrate::migrate_out(
        &mut crate::guest::Machine::of(&guest),
        &Options::to(destination.uri.clone()),
        control,
        &mut landfall_migrate::progress::Unobserved,
    );
    assert_eq!(report.outcome, Outcome::Cancelled);
    guest.assert_goes_on();
    destination.handle.cancel();
    destination.assert_nothing();
}

#[test]
fn it_can_be_cancelled_while_nobody_answers() {
    let folder = Folder::new();
    let Uri::Unix(path) = folder.socket("deaf") else { panic!() };
    let _deaf = UnixListener::bind(&path).unwrap();
    let guest = Guest::running(&Shape::busy());
    let under_way = UnderWay::begin(&guest, Options::to(Uri::Unix(path)));
    under_way.wait_for(Phase::Connecting, 0);
    under_way.handle.cancel();
    assert_eq!(under_way.report().outcome, Outcome::Cancelled);
    guest.assert_goes_on();
}

#[test]
fn it_can_be_cancelled_at_every_message_before_the_commit() {
    for (at, nth) in At::BEFORE_READY.map(|at| (at, 1)).into_iter().chain([
        (At::Pages, 40),
        (At::PassEnd, 3),
        (At::Ready, 1),
    ]) {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let proxy = Proxy::new(&folder.socket("p"), &destination.uri, at, nth, Fate::Hold);
        let guest = Guest::running(&Shape::busy());
        let under_way = UnderWay::begin(&guest, narrow(&proxy.uri, Policy::Adaptive));
        proxy.wait();
        under_way.handle.cancel();
        let report = under_way.report();
        assert_eq!(report.outcome, Outcome::Cancelled, "{at:?}: {:?}", report.reason);
        guest.assert_goes_on();
        drop(proxy);
        // A greeting that never came whole leaves the destination waiting for the next.
        destination.handle.cancel();
        destination.assert_nothing();
    }
}

#[test]
fn it_can_be_cancelled_while_every_buffer_is_full() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let proxy = Proxy::new(&folder.socket("p"), &destination.uri, At::Pages, 1, Fate::Hold);
    let guest = Guest::running(&Shape::busy());
    let under_way = UnderWay::begin(
        &guest,
        Options { peer_timeout: Duration::from_secs(60), ..Options::to(proxy.uri.clone()) },
    );
    proxy.wait();
    under_way.wait_for(Phase::FirstPass, 1);
    under_way.handle.cancel();
    assert_eq!(under_way.report().outcome, Outcome::Cancelled);
    guest.assert_goes_on();
    drop(proxy);
    destination.assert_nothing();
}

#[test]
fn once_given_away_it_cannot_be_called_off() {
    for at in [At::Commit, At::Running] {
        let folder = Folder::new();
        let destination = Waiting::at(&folder.socket("d"));
        let proxy = Proxy::new(&folder.socket("p"), &destination.uri, at, 1, Fate::Hold);
        let guest = Guest::running(&Shape::busy());
        let under_way = UnderWay::begin(&guest, narrow(&proxy.uri, Policy::Adaptive));
        proxy.wait();
        under_way.handle.cancel();
        proxy.release();
        let report = under_way.report();
        assert_eq!(report.outcome, Outcome::Completed, "{at:?}: {:?}", report.reason);
        guest.assert_stands_still();
        destination.arrived().assert_goes_on();
    }
}

#[test]
fn a_destination_can_be_told_to_stop_waiting() {
    let folder = Folder::new();
    for uri in [folder.socket("d"), Uri::Tcp("127.0.0.1:0".to_owned())] {
        let destination = Waiting::at(&uri);
        destination.handle.cancel();
        assert!(matches!(destination.assert_nothing(), ReceiveError::Cancelled));
    }
}

#[test]
fn a_destination_can_be_stopped_while_a_guest_comes_in() {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let guest = Guest::running(&Shape::busy());
    let mut options = narrow(&destination.uri, Policy::Off);
    options.limits.max_downtime = Duration::from_millis(20);
    let under_way = UnderWay::begin(&guest, options);
    under_way.wait_for(Phase::Passes, 2);
    destination.handle.cancel();
    assert_eq!(under_way.report().outcome, Outcome::Failed);
    guest.assert_goes_on();
    assert!(matches!(destination.assert_nothing(), ReceiveError::Cancelled));
}

/// A destination that was told to stop when it had said ready already, or when the word was on its way.
fn stopped_too_late(at: At) -> (Arc<Guest>, Waiting, Proxy, UnderWay) {
    let folder = Folder::new();
    let destination = Waiting::at(&folder.socket("d"));
    let proxy = Proxy::new(&folder.socket("p"), &destination.uri, at, 1, Fate::Hold);
    let guest = Guest::running(&Shape::busy());
    let under_way = UnderWay::begin(&guest, narrow(&proxy.uri, Policy::Adaptive));
    proxy.wait();
    destination.handle.cancel();
    (guest, destination, proxy, under_way)
}

#[test]
fn a_destination_that_is_stopped_when_ready_hears_first_that_the_guest_stays() {
    let (guest, destination, proxy, under_way) = stopped_too_late(At::Ready);
    under_way.handle.cancel();
    assert_eq!(under_way.report().outcome, Outcome::Cancelled);
    guest.assert_goes_on();
    drop(proxy);
    assert!(matches!(destination.assert_nothing(), ReceiveError::CalledOff(_)));
}

#[test]
fn a_destination_that_is_stopped_when_ready_takes_a_guest_that_is_given_to_it() {
    let (guest, destination, proxy, under_way) = stopped_too_late(At::Commit);
    proxy.release();
    assert_eq!(under_way.report().outcome, Outcome::Completed);
    guest.assert_stands_still();
    destination.arrived().assert_goes_on();
}
