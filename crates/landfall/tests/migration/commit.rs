//! Once the guest was given away the source never runs it again, unless an operator says so.

use std::process::Output;

use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::{Command, RunState};

use crate::frame::{Frame, Tag};
use crate::machine::{Machine, NARROW, landfall};
use crate::pair::{BUSY, Destination, Pair, assert_arrived, assert_completed, assert_ended};
use crate::proxy::{Fault, Moment, Proxy};

/// What `landfall settle` is told.
const RUN: &str = "run";
const DISCARD: &str = "discard";

/// A migration that broke off while the guest was being given away.
struct Broken {
    pair: Pair,
    destination: Destination,
}

impl Broken {
    fn at(moment: Moment, fault: impl FnOnce(&Destination) -> Fault) -> Self {
        let mut pair = Pair::of(BUSY);
        let destination = pair.destination();
        let fault = fault(&destination);
        let proxy = pair.migrate_with(&destination, NARROW.impatient(), moment, fault);
        proxy.wait_until_struck();
        let mut this = Self { pair, destination };
        this.assert_source_is_in_doubt();
        this
    }

    /// The word itself was lost.
    fn before_the_word() -> Self {
        let mut this = Self::at(Moment::first(Tag::Commit), |_| Fault::Cut);
        this.wait_for_destination(RunState::Paused);
        this.destination.machine.assert_stands_still();
        this
    }

    fn assert_source_is_in_doubt(&mut self) {
        let report = self.pair.source.report();
        assert_in_doubt(&report);
        self.pair.source.assert_stands_still();
        let refusal = self.pair.source.refusal(&Command::Migrate { uri: self.destination.uri() });
        assert!(refusal.contains("in doubt"), "{refusal}");
    }

    fn wait_for_destination(&mut self, wanted: RunState) {
        let seen = |machine: &mut Machine| (machine.status() == wanted).then_some(());
        self.destination.machine.until("the destination's end of it", seen);
    }
}

fn assert_in_doubt(report: &Report) {
    assert_ended(report, Outcome::InDoubt, "landfall settle SOCKET run|discard");
    assert_ended(report, Outcome::InDoubt, "the guest was given away");
}

fn settle(machine: &Machine, decision: &str) -> Output {
    landfall().arg("settle").arg(machine.monitor()).arg(decision).output().unwrap()
}

fn assert_settles(machine: &Machine, decision: &str) {
    let ended = settle(machine, decision);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

fn assert_discarded(machine: &mut Machine) {
    machine.assert_stands_still();
    assert_eq!(machine.status(), RunState::Postmigrate);
    // Once discarded there is nothing left to run.
    assert_eq!(settle(machine, RUN).status.code(), Some(1));
    machine.assert_stands_still();
}

#[test]
fn the_word_is_lost_and_the_operator_keeps_the_guest_at_the_source() {
    let Broken { pair, mut destination } = Broken::before_the_word();
    assert_settles(&destination.machine, DISCARD);
    assert_settles(&pair.source, RUN);
    assert_discarded(&mut destination.machine);
    pair.assert_unharmed();
}

#[test]
fn the_word_is_lost_and_the_operator_has_the_guest_run_at_the_destination() {
    let Broken { mut pair, mut destination } = Broken::before_the_word();
    assert_settles(&pair.source, DISCARD);
    assert_settles(&destination.machine, RUN);
    assert_discarded(&mut pair.source);
    destination.machine.assert_runs();
    assert_discarded(&mut pair.source);
}

#[test]
fn the_word_is_corrupted_and_nobody_runs_the_guest() {
    let mut broken =
        Broken::at(Moment::first(Tag::Commit), |_| Fault::Replace(Frame::with_payload_bit_flipped));
    broken.wait_for_destination(RunState::Paused);
    broken.destination.machine.assert_stands_still();
    broken.pair.source.assert_stands_still();
}

fn the_answer_is_lost(moment: Moment, fault: Fault) {
    let Broken { mut pair, mut destination } = Broken::at(moment, |_| fault);
    assert_arrived(&mut destination.machine);
    // Nothing is in doubt there, and nothing can be taken from it by mistake.
    assert_eq!(settle(&destination.machine, DISCARD).status.code(), Some(1));
    pair.source.assert_stands_still();
    assert_settles(&pair.source, DISCARD);
    assert_discarded(&mut pair.source);
    destination.machine.assert_runs();
}

#[test]
fn the_connection_is_cut_behind_the_word_and_the_destination_runs() {
    the_answer_is_lost(Moment::first(Tag::Commit), Fault::CutBehind);
}

#[test]
fn the_answer_to_the_word_is_lost_and_the_destination_runs() {
    the_answer_is_lost(Moment::first(Tag::Running), Fault::Cut);
}

/// The destination is gone, and with it whatever the guest did there: the source has the only copy.
fn the_destination_dies(moment: Moment) {
    let kill = |destination: &Destination| Fault::Kill(destination.machine.process());
    let Broken { pair, .. } = Broken::at(moment, kill);
    assert_settles(&pair.source, RUN);
    pair.assert_unharmed();
}

#[test]
fn the_destination_dies_before_it_hears_the_word() {
    the_destination_dies(Moment::first(Tag::Commit));
}

#[test]
fn the_destination_dies_after_it_has_heard_the_word() {
    the_destination_dies(Moment::first(Tag::Running));
}

/// A migration whose word is on its way.
fn with_the_word_on_its_way() -> (Pair, Destination, Proxy) {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let commit = Moment::first(Tag::Commit);
    let proxy = pair.migrate_with(&destination, NARROW.impatient(), commit, Fault::Hold);
    proxy.wait_until_struck();
    (pair, destination, proxy)
}

#[test]
fn it_is_too_late_to_cancel_or_go_on_while_the_word_is_on_its_way() {
    let (mut pair, mut destination, mut proxy) = with_the_word_on_its_way();
    pair.source.execute(&Command::MigrateCancel);
    pair.source.assert_stands_still();
    proxy.go_on();
    assert_completed(&pair.source.report());
    assert_arrived(&mut destination.machine);
    pair.source.assert_stands_still();
}

#[test]
fn a_word_that_arrives_after_the_source_stopped_waiting_still_counts() {
    let (mut pair, mut destination, mut proxy) = with_the_word_on_its_way();
    let report = pair.source.report();
    assert_in_doubt(&report);
    proxy.go_on();
    assert_arrived(&mut destination.machine);
    pair.source.assert_stands_still();
}

#[test]
fn the_source_dies_before_its_word_and_the_operator_has_the_guest_run_at_the_destination() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    let kill = Fault::Kill(pair.source.process());
    let ready = Moment::first(Tag::Ready);
    pair.migrate_with(&destination, NARROW, ready, kill).wait_until_struck();
    let seen = |machine: &mut Machine| (machine.status() == RunState::Paused).then_some(());
    destination.machine.until("doubt", seen);
    destination.machine.assert_stands_still();
    assert_settles(&destination.machine, RUN);
    destination.machine.assert_runs();
}
