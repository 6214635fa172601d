//! A migration that is cancelled leaves the guest as it was, whatever it was doing.

use std::os::unix::net::UnixListener;
use std::time::Duration;

use landfall_migrate::report::Outcome;
use landfall_qmp::{Command, MigrationStatus, RunState};

use crate::frame::Tag;
use crate::machine::{How, NARROW};
use crate::pair::{BUSY, Pair, assert_ended, uri};
use crate::proxy::{Fault, Moment};

/// Cancels when a frame of this kind has been held back on its way.
fn cancelled_at(moment: impl FnOnce(&Pair) -> Moment, expected: RunState) {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let moment = moment(&pair);
    let mut proxy = pair.migrate_with(&destination, NARROW, moment, Fault::Hold);
    proxy.wait_until_struck();
    pair.source.until("the phase", |source| (source.status() == expected).then_some(()));
    cancel(&mut pair);
    // What was held back comes late, and is followed by the news.
    proxy.go_on();
    let words = destination.machine.last_words();
    assert!(words.contains("no guest has come in"), "{words}");
    pair.assert_unharmed();
}

fn cancel(pair: &mut Pair) {
    pair.source.execute(&Command::MigrateCancel);
    let report = pair.source.report();
    assert_ended(&report, Outcome::Cancelled, "cancelled");
    assert_eq!(pair.source.migration().status, MigrationStatus::Cancelled);
}

#[test]
fn while_the_destination_accepts_but_never_answers() {
    let mut pair = Pair::of(BUSY);
    let silent = pair.socket("silent");
    let _listener = UnixListener::bind(&silent).unwrap();
    pair.source.migrate(uri(&silent), &NARROW);
    cancel(&mut pair);
    pair.assert_unharmed();
}

#[test]
fn while_the_destination_is_greeted() {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let hello = Moment::first(Tag::Hello);
    let proxy = pair.migrate_with(&destination, NARROW, hello, Fault::Hold);
    proxy.wait_until_struck();
    cancel(&mut pair);
    pair.assert_unharmed();
}

#[test]
fn while_the_destination_builds_the_machine() {
    cancelled_at(|_| Moment::first(Tag::Accepted), RunState::Running);
}

#[test]
fn in_the_first_pass() {
    cancelled_at(|_| Moment::nth(Tag::Pages, 2), RunState::Running);
}

#[test]
fn while_a_later_pass_is_throttled() {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    // A short downtime keeps the passes going for a while.
    let how = How { max_downtime: Duration::from_millis(50), ..NARROW };
    pair.source.migrate(destination.uri(), &how);
    pair.source.until("a throttled pass", |source| {
        let landfall = source.migration().landfall?;
        (landfall.phase == "passes" && landfall.throttle > 0.0).then_some(())
    });
    assert!(pair.source.vm().throttle > 0.0);
    cancel(&mut pair);
    pair.assert_unharmed();
}

#[test]
fn while_the_last_pages_are_sent() {
    let moment = |pair: &Pair| Moment::in_switchover(Tag::Pages, pair.source.monitor());
    cancelled_at(moment, RunState::FinishMigrate);
}

#[test]
fn while_the_state_is_sent() {
    cancelled_at(|_| Moment::first(Tag::State), RunState::FinishMigrate);
}

#[test]
fn while_the_destination_is_told_that_it_has_everything() {
    cancelled_at(|_| Moment::first(Tag::Finish), RunState::FinishMigrate);
}
