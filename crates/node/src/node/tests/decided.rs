//! A guest in doubt, one of whose nodes does not come back: an operator decides, and it runs exactly once.

use super::super::Node;
use super::never_twice::{assert_exactly_once, create, recovered_to_the_end, request, vm};
use super::world::{Host, Link, World, hosts};
use crate::model::{Decision, MigrationState, Settling, VmState};
use crate::ownership::Holding;

/// More steps than deciding has.
const ENOUGH: usize = 8;

fn settling(decision: Decision) -> Settling {
    Settling { decision, note: Some("the other host has burnt down".to_owned()) }
}

/// A guest in doubt at its source, whose daemon follows it, while the target's daemon is gone.
fn doubted(link: Link) -> (std::sync::Arc<World>, tempfile::TempDir, Node, Host, Host) {
    let world = World::new(link);
    let (folder, a, b) = hosts(&world);
    let node = a.start(usize::MAX);
    create(&node);
    b.start(usize::MAX);
    b.vanishes_once_it_has_prepared();
    node.migrate(&vm(), &request()).unwrap();
    while node.migrations().unwrap()[0].state != MigrationState::InDoubt {
        std::thread::yield_now();
    }
    (world, folder, node, a, b)
}

#[test]
fn at_the_source_it_is_decided_and_recorded_and_the_target_follows() {
    let cases = [
        (Link::BreaksBeforeTheWord, Decision::Run, "a", MigrationState::Failed),
        (Link::BreaksBeforeTheWord, Decision::Discard, "b", MigrationState::Completed),
        (Link::BreaksAfterTheWord, Decision::Discard, "b", MigrationState::Completed),
    ];
    for (link, decision, runs_on, state) in cases {
        let (world, _folder, node, _, b) = doubted(link);
        node.decide(&vm(), &settling(decision), "the token 'anna'").unwrap();
        node.finish();
        let migration = node.migrations().unwrap().remove(0);
        let reason = migration.reason.unwrap();
        assert!(reason.contains("anna', since: the other host has burnt down"), "{reason}");
        let settlement = migration.settlement.unwrap();
        assert!(settlement.known.contains("b does not answer"), "{}", settlement.known);
        assert_eq!(migration.state, state);
        // It comes back after all.
        let b = b.start(usize::MAX);
        b.tend_once(true).unwrap();
        let case = format!("{link:?} {decision:?}");
        assert_exactly_once(&world, &node, &b, &case);
        assert_eq!(world.running(), [runs_on], "{case}");
    }
}

#[test]
fn the_daemon_may_be_killed_between_any_two_steps_of_it() {
    for (decision, steps) in [Decision::Run, Decision::Discard]
        .into_iter()
        .flat_map(|it| (1..ENOUGH).map(move |n| (it, n)))
    {
        let (world, _folder, node, a, b) = doubted(Link::BreaksBeforeTheWord);
        node.dies_after(steps);
        node.decide(&vm(), &settling(decision), "anna").unwrap();
        node.finish();
        let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
        recovered_to_the_end(&a, &b);
        assert_exactly_once(&world, &a, &b, &format!("{decision:?}, killed at step {steps}"));
    }
}

#[test]
fn at_the_target_it_is_decided_and_the_source_follows() {
    for (decision, runs_on) in [(Decision::Run, "b"), (Decision::Discard, "a")] {
        let (world, _folder, first, a, b) = doubted(Link::BreaksBeforeTheWord);
        first.leave();
        a.vanishes();
        let b = b.start(usize::MAX);
        let vm = b.decide(&vm(), &settling(decision), "anna").unwrap();
        let settlement = vm.settlement.unwrap();
        assert!(settlement.known.contains("a does not answer"), "{}", settlement.known);
        let a = a.start(usize::MAX);
        recovered_to_the_end(&a, &b);
        assert_exactly_once(&world, &a, &b, &format!("{decision:?}"));
        assert_eq!(world.running(), [runs_on]);
    }
}

#[test]
fn nothing_is_decided_that_the_nodes_know_or_where_nothing_is_in_doubt() {
    let (_world, _folder, node, _, b) = doubted(Link::BreaksBeforeTheWord);
    let b = b.start(usize::MAX);
    // The source answers, and will ask.
    let refused = b.decide(&vm(), &settling(Decision::Run), "anna");
    assert!(refused.is_err(), "{refused:?}");
    node.finish();
    let over = node.decide(&vm(), &settling(Decision::Discard), "anna").unwrap_err();
    assert!(over.to_string().contains("is not in doubt"), "{over}");
    let holding = node.0.store.vm(&vm()).unwrap().unwrap().ownership.holding;
    assert!(matches!(holding, Holding::Here { .. }), "{holding:?}");
}

#[test]
fn a_guest_in_doubt_is_not_asked_to_end() {
    let (_world, _folder, node, a, _b) = doubted(Link::BreaksBeforeTheWord);
    let refused = node.ask_to_stop(&vm()).unwrap_err();
    assert!(refused.to_string().contains("is being migrated"), "{refused}");
    node.decide(&vm(), &settling(Decision::Run), "anna").unwrap();
    node.finish();
    let stopped = a.start(usize::MAX).ask_to_stop(&vm()).unwrap();
    assert_eq!(stopped.state, VmState::Stopped);
    assert_eq!(
        node.ask_to_stop(&vm()).unwrap().state,
        VmState::Stopped,
        "asked again, it is so still"
    );
}

#[test]
fn what_was_decided_is_not_decided_again_otherwise() {
    let (_world, _folder, node, _, _) = doubted(Link::BreaksBeforeTheWord);
    node.decide(&vm(), &settling(Decision::Run), "anna").unwrap();
    let other = node.decide(&vm(), &settling(Decision::Discard), "bert").unwrap_err();
    let said = other.to_string();
    assert!(said.contains("too late") || said.contains("not in doubt"), "{said}");
    node.finish();
}
