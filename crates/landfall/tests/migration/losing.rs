//! A destination that dies, hangs, or is cut off before the guest was given away costs the guest nothing.

use landfall_migrate::report::Outcome;
use landfall_qmp::RunState;

use crate::frame::Tag;
use crate::machine::NARROW;
use crate::pair::{BUSY, Pair, assert_ended};
use crate::proxy::{Fault, Moment};

/// Kills the destination just before a frame passes.
fn killed_at(moment: impl FnOnce(&Pair) -> Moment) {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let kill = Fault::Kill(destination.machine.process());
    let moment = moment(&pair);
    pair.migrate_with(&destination, NARROW, moment, kill).wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "the connection to the destination was lost");
    pair.assert_unharmed();
}

/// Cuts the connection just before a frame passes.
fn cut_at(moment: impl FnOnce(&Pair) -> Moment) {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let moment = moment(&pair);
    pair.migrate_with(&destination, NARROW, moment, Fault::Cut).wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "the connection to the destination was lost");
    pair.assert_unharmed();
}

/// Has the destination read and say nothing any more from a frame on.
fn silent_from(moment: Moment) {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let proxy = pair.migrate_with(&destination, NARROW.impatient(), moment, Fault::Hold);
    proxy.wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "the destination has not answered within 1.5s");
    pair.assert_unharmed();
}

/// A frame of the second pass or a later one, of a guest that needs some.
fn second_pass_end(_: &Pair) -> Moment {
    Moment::nth(Tag::PassEnd, 2)
}

fn last_pages(pair: &Pair) -> Moment {
    Moment::in_switchover(Tag::Pages, pair.source.monitor())
}

#[test]
fn killed_when_it_is_greeted() {
    killed_at(|_| Moment::first(Tag::Hello));
}

#[test]
fn killed_when_it_shall_build_the_machine() {
    killed_at(|_| Moment::first(Tag::Configuration));
}

#[test]
fn killed_in_the_first_pass() {
    killed_at(|_| Moment::first(Tag::Pages));
}

#[test]
fn killed_in_a_later_pass() {
    killed_at(second_pass_end);
}

#[test]
fn killed_while_the_last_pages_come() {
    killed_at(last_pages);
}

#[test]
fn killed_when_the_state_comes() {
    killed_at(|_| Moment::first(Tag::State));
}

#[test]
fn killed_when_it_has_just_said_ready() {
    killed_at(|_| Moment::first(Tag::Ready));
}

#[test]
fn cut_off_when_it_answers_the_greeting() {
    cut_at(|_| Moment::first(Tag::Welcome));
}

#[test]
fn cut_off_in_the_first_pass() {
    cut_at(|_| Moment::nth(Tag::Pages, 3));
}

#[test]
fn cut_off_in_a_later_pass() {
    cut_at(second_pass_end);
}

#[test]
fn cut_off_while_the_last_pages_come() {
    cut_at(last_pages);
}

#[test]
fn cut_off_when_it_has_just_said_ready_it_waits_for_an_operator() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    let ready = Moment::first(Tag::Ready);
    pair.migrate_with(&destination, NARROW, ready, Fault::Cut).wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "the connection to the destination was lost");
    // It cannot know that the source never heard of it.
    destination
        .machine
        .until("doubt", |machine| (machine.status() == RunState::Paused).then_some(()));
    destination.machine.assert_stands_still();
    pair.assert_unharmed();
}

#[test]
fn silent_when_it_is_greeted() {
    silent_from(Moment::first(Tag::Hello));
}

#[test]
fn no_longer_reading_in_the_first_pass() {
    silent_from(Moment::first(Tag::Pages));
}

#[test]
fn no_longer_reading_in_a_later_pass() {
    silent_from(Moment::nth(Tag::PassEnd, 2));
}

#[test]
fn silent_about_the_last_pages() {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let moment = Moment::in_switchover(Tag::PassReceived, pair.source.monitor());
    let proxy = pair.migrate_with(&destination, NARROW.impatient(), moment, Fault::Hold);
    proxy.wait_until_struck();
    let report = pair.source.report();
    assert_ended(&report, Outcome::Failed, "the destination has not answered within 1.5s");
    pair.assert_unharmed();
}

#[test]
fn silent_when_it_has_the_state() {
    silent_from(Moment::first(Tag::State));
}

#[test]
fn silent_instead_of_ready() {
    silent_from(Moment::first(Tag::Ready));
}
