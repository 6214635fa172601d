//! A guest is handed over to another process of this host, with the memory that it runs in.

use std::process::Output;

use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::{Command, RunState};

use crate::frame::{Frame, Tag};
use crate::machine::{HAND_OVER, Machine, WIDE, landfall};
use crate::pair::{
    BUSY, Destination, Guest, Pair, assert_arrived, assert_completed, assert_ended, uri,
};
use crate::proxy::{Fault, Moment};

fn assert_handed_over(report: &Report) {
    assert_completed(report);
    assert!(report.hand_over);
    assert_eq!(report.pages, Default::default(), "a page was sent");
    assert!(report.sent_bytes < 1 << 20, "{}", report.sent_bytes);
}

fn wait_for(machine: &mut Machine, state: RunState) {
    machine.until("its state", |machine| (machine.status() == state).then_some(()));
}

#[test]
fn twenty_hand_overs_between_two_processes_lose_nothing() {
    let mut pair = Pair::of(Guest { probe: "sweep,working-set=32MiB", memory: "64MiB", cpus: "2" });
    let mut other = pair.destination().machine;
    let mut meeting = pair.socket("destination-1");
    let mut last = [0; 2];
    for round in 1..=20 {
        pair.source.migrate(uri(&meeting), &HAND_OVER);
        assert_handed_over(&pair.source.report());
        assert_eq!(pair.source.status(), RunState::Postmigrate);
        wait_for(&mut other, RunState::Running);
        let check = other.assert_whole();
        let work = [check.vcpus[0].work, check.vcpus[1].work];
        assert!(work[0] > last[0] && work[1] > last[1], "round {round}: {work:?} after {last:?}");
        last = work;
        std::mem::swap(&mut pair.source, &mut other);
        meeting = pair.socket(&format!("round-{round}"));
        other.execute(&Command::MigrateIncoming { uri: uri(&meeting) });
    }
    // And page by page from there.
    pair.source.migrate(uri(&meeting), &WIDE);
    assert_completed(&pair.source.report());
    assert_arrived(&mut other);
}

#[test]
fn what_the_guest_does_survives_the_process_that_it_began_in() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    let ended = landfall()
        .arg("migrate")
        .arg(pair.source.monitor())
        .args([&destination.uri(), "--hand-over", "--verify"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(said.contains("handed over in") && said.contains("none of 64 MiB"), "{said}");
    assert_handed_over(&pair.source.report());
    pair.source.process().kill();
    assert_arrived(&mut destination.machine);
}

#[test]
fn a_guest_that_is_paused_stays_paused() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    pair.source.execute(&Command::Stop);
    pair.source.migrate(destination.uri(), &HAND_OVER);
    assert_handed_over(&pair.source.report());
    wait_for(&mut destination.machine, RunState::Paused);
    destination.machine.execute(&Command::Cont);
    destination.machine.assert_runs();
}

/// The guest stays where it is, whatever happens to its destination or on the way there.
fn stays(moment: Moment, fault: impl FnOnce(&Destination) -> Fault, words: &str) {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let fault = fault(&destination);
    pair.migrate_with(&destination, HAND_OVER.impatient(), moment, fault).wait_until_struck();
    assert_ended(&pair.source.report(), Outcome::Failed, words);
    pair.source.assert_runs();
    // Nor is it kept from being handed over later.
    let mut destination = pair.destination();
    pair.source.migrate(destination.uri(), &HAND_OVER);
    assert_handed_over(&pair.source.report());
    pair.source.assert_held();
    assert_arrived(&mut destination.machine);
}

#[test]
fn a_destination_that_dies_before_it_has_the_word_leaves_the_guest_where_it_is() {
    for tag in [Tag::Memory, Tag::Accepted, Tag::State, Tag::Ready, Tag::Commit] {
        let kill = |destination: &Destination| Fault::Kill(destination.machine.process());
        stays(Moment::first(tag), kill, "the connection to the destination was lost");
    }
}

#[test]
fn a_word_that_is_lost_leaves_the_guest_where_it_is() {
    stays(Moment::first(Tag::Commit), |_| Fault::Cut, "the guest goes on here");
}

#[test]
fn what_passes_on_bytes_alone_leaves_the_guest_where_it_is() {
    let replace = |_: &Destination| Fault::Replace(Frame::of_bytes_alone);
    stays(Moment::first(Tag::Memory), replace, "have them connect directly");
}

fn settle(machine: &Machine, decision: &str) -> Output {
    landfall().arg("settle").arg(machine.monitor()).arg(decision).output().unwrap()
}

#[test]
fn a_destination_that_waits_for_a_word_in_vain_cannot_run_the_guest() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    let commit = Moment::first(Tag::Commit);
    let how = HAND_OVER.impatient();
    pair.migrate_with(&destination, how, commit, Fault::Cut).wait_until_struck();
    assert_ended(&pair.source.report(), Outcome::Failed, "the guest goes on here");
    wait_for(&mut destination.machine, RunState::Paused);
    let ended = settle(&destination.machine, "run");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("it can only be discarded here"), "{said}");
    // The guest runs on at the source, in the same memory.
    destination.machine.assert_held();
    assert_eq!(settle(&destination.machine, "discard").status.code(), Some(0));
    pair.assert_unharmed();
}

/// The destination has run the guest, and perhaps nobody does any more.
fn assert_never_runs_here_again(source: &mut Machine) {
    let report = source.report();
    assert_ended(&report, Outcome::InDoubt, "its memory is the one that the destination has");
    source.assert_held();
    assert_eq!(source.status(), RunState::Postmigrate);
    for decision in ["run", "discard"] {
        let ended = settle(source, decision);
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    }
    source.assert_held();
}

#[test]
fn a_guest_whose_destination_dies_once_it_has_run_there_is_not_run_on_what_it_left_behind() {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let kill = Fault::Kill(destination.machine.process());
    let running = Moment::first(Tag::Running);
    pair.migrate_with(&destination, HAND_OVER, running, kill).wait_until_struck();
    assert_never_runs_here_again(&mut pair.source);
    pair.source.assert_stands_still();
}

#[test]
fn a_guest_that_runs_unheard_runs_on_there_alone() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    let running = Moment::first(Tag::Running);
    pair.migrate_with(&destination, HAND_OVER, running, Fault::Cut).wait_until_struck();
    assert_never_runs_here_again(&mut pair.source);
    assert_arrived(&mut destination.machine);
}

#[test]
fn a_source_that_dies_when_all_is_ready_leaves_the_guest_to_an_operator_at_the_destination() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    let kill = Fault::Kill(pair.source.process());
    let ready = Moment::first(Tag::Ready);
    pair.migrate_with(&destination, HAND_OVER, ready, kill).wait_until_struck();
    wait_for(&mut destination.machine, RunState::Paused);
    destination.machine.assert_stands_still();
    assert_eq!(settle(&destination.machine, "run").status.code(), Some(0));
    destination.machine.assert_runs();
}

#[test]
fn a_destination_at_a_network_address_is_refused_before_anything_happens() {
    let mut pair = Pair::of(BUSY);
    let destination = pair.machine("over-tcp", &["--incoming", "tcp:127.0.0.1:0"]);
    let ended = landfall()
        .arg("migrate")
        .arg(pair.source.monitor())
        .args([&destination.waits_at(), "--hand-over"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("--hand-over passes file descriptors on"), "{said}");
    // A client that does not look before is told by the machine.
    pair.source.migrate(destination.waits_at(), &HAND_OVER);
    assert_ended(&pair.source.report(), Outcome::Failed, "give unix:PATH");
    pair.assert_unharmed();
}
