//! However a migration ends and whichever daemon is killed between which two steps: the guest runs exactly once.

use super::super::Node;
use super::world::{Host, Link, World, hosts};
use crate::model::{MigrationRequest, MigrationState, VmName};
use crate::ownership::Holding;

const LINKS: [Link; 4] =
    [Link::Good, Link::BreaksEarly, Link::BreaksBeforeTheWord, Link::BreaksAfterTheWord];
/// More steps than any migration has.
const ENOUGH: usize = 24;

pub(super) fn vm() -> VmName {
    "web1".parse().unwrap()
}

pub(super) fn request() -> MigrationRequest {
    let target = "b".parse().unwrap();
    MigrationRequest { target, policy: None, settings: Default::default() }
}

pub(super) fn create(node: &Node) {
    let text = "name = 'web1'\n[native]\nmemory = '64MiB'\nprobe = { workload = 'sweep' }";
    node.create(toml::from_str(text).unwrap()).unwrap();
}

/// What must be true in the end.
pub(super) fn assert_exactly_once(world: &World, a: &Node, b: &Node, case: &str) {
    let running = world.running();
    assert_eq!(running.len(), 1, "{case}: it runs on {running:?}");
    assert_eq!(world.present(), running, "{case}: a process is left");
    let migration = a.0.store.migrations().unwrap().remove(0);
    let (here, away) = match running[0].as_str() {
        "a" => (a, b),
        _ => (b, a),
    };
    let record = here.0.store.vm(&vm()).unwrap().unwrap();
    assert!(matches!(record.ownership.holding, Holding::Here { .. }), "{case}: {record:?}");
    let other = away.0.store.vm(&vm()).unwrap();
    let holding = other.map(|record| record.ownership.holding);
    assert!(
        matches!(holding, None | Some(Holding::Away { .. } | Holding::Refused { .. })),
        "{case}: {holding:?}"
    );
    let arrived = migration.state == MigrationState::Completed;
    assert!(migration.state.is_final(), "{case}: {migration:?}");
    assert_eq!(arrived, running[0] == "b", "{case}: {migration:?}");
}

/// Takes everything to its end, with both daemons well; the source's was started again just now.
pub(super) fn recovered_to_the_end(a: &Node, b: &Node) {
    a.recover().unwrap();
    to_the_end(a, b);
}

/// Takes everything to its end, with both daemons well.
fn to_the_end(a: &Node, b: &Node) {
    a.finish();
    for node in [b, a] {
        node.tend_once(true).unwrap();
    }
}

fn migrate_and_wait(a: &Node) {
    // A daemon that is ended here has not begun, which is as good as any other moment.
    if a.migrate(&vm(), &request()).is_ok() {
        a.finish();
    }
}

fn with_hosts(link: Link, test: impl FnOnce(&World, &Host, &Host)) {
    let world = World::new(link);
    let (_folder, a, b) = hosts(&world);
    create(&a.start(usize::MAX));
    test(&world, &a, &b);
}

/// How many steps both daemons take, the source's first, where nobody is killed.
fn steps_of(link: Link) -> (usize, usize) {
    let mut taken = (0, 0);
    with_hosts(link, |_, a, b| {
        let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
        migrate_and_wait(&a);
        b.tend_once(true).unwrap();
        let steps = |node: &Node| {
            usize::MAX - node.0.steps_to_live.load(std::sync::atomic::Ordering::Acquire)
        };
        taken = (steps(&a), steps(&b));
    });
    taken
}

#[test]
fn every_step_that_is_taken_is_one_at_which_a_test_kills() {
    for link in LINKS {
        let (source, target) = steps_of(link);
        assert!(source < ENOUGH && target < ENOUGH, "{link:?}: {source} and {target} steps");
        assert!(source > 1 && target > 1, "{link:?}: {source} and {target} steps");
    }
}

#[test]
fn undisturbed_it_ends_up_where_the_link_lets_it() {
    for (link, expected) in LINKS.into_iter().zip(["b", "a", "a", "b"]) {
        with_hosts(link, |world, a, b| {
            let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
            migrate_and_wait(&a);
            b.tend_once(true).unwrap();
            assert_exactly_once(world, &a, &b, &format!("{link:?}"));
            assert_eq!(world.running(), [expected]);
        });
    }
}

#[test]
fn the_sources_daemon_may_be_killed_between_any_two_steps() {
    for link in LINKS {
        for steps in 1..ENOUGH {
            with_hosts(link, |world, a, b| {
                let b = b.start(usize::MAX);
                migrate_and_wait(&a.start(steps));
                let a = a.start(usize::MAX);
                recovered_to_the_end(&a, &b);
                assert_exactly_once(world, &a, &b, &format!("{link:?}, killed at step {steps}"));
            });
        }
    }
}

#[test]
fn what_could_not_be_written_down_for_a_moment_is_taken_up_again() {
    for link in LINKS {
        for steps in 1..ENOUGH {
            with_hosts(link, |world, a, b| {
                let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
                a.0.steps_to_trouble.store(steps, std::sync::atomic::Ordering::Release);
                a.migrate(&vm(), &request()).unwrap();
                to_the_end(&a, &b);
                assert_exactly_once(world, &a, &b, &format!("{link:?}, in trouble at {steps}"));
            });
        }
    }
}

#[test]
fn the_targets_daemon_may_be_killed_between_any_two_steps() {
    for link in LINKS {
        for steps in 1..ENOUGH {
            with_hosts(link, |world, a, b| {
                let first = b.start(steps);
                let a = a.start(usize::MAX);
                if a.migrate(&vm(), &request()).is_err() {
                    return;
                }
                // The second daemon comes once the first is gone, or was not needed any more.
                while !first.is_leaving() && !a.migrations().unwrap()[0].state.is_final() {
                    std::thread::yield_now();
                }
                let b = b.start(usize::MAX);
                b.recover().unwrap();
                to_the_end(&a, &b);
                assert_exactly_once(world, &a, &b, &format!("{link:?}, killed at step {steps}"));
            });
        }
    }
}

#[test]
fn both_daemons_may_be_killed_each_between_any_two_steps() {
    for link in LINKS {
        let (most, most_there) = steps_of(link);
        // One more than there are: a daemon that is not killed.
        let pairs = (1..=most + 1).flat_map(|a| (1..=most_there + 1).map(move |b| (a, b)));
        for (source, target) in pairs {
            with_hosts(link, |world, a, b| {
                let first = b.start(target);
                let ended = a.start(source);
                if ended.migrate(&vm(), &request()).is_err() {
                    return;
                }
                while !ended.is_leaving()
                    && !first.is_leaving()
                    && !ended.migrations().unwrap()[0].state.is_final()
                {
                    std::thread::yield_now();
                }
                ended.leave();
                let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
                b.recover().unwrap();
                recovered_to_the_end(&a, &b);
                let case = format!("{link:?}, killed at steps {source} and {target}");
                assert_exactly_once(world, &a, &b, &case);
            });
        }
    }
}

#[test]
fn a_guest_may_go_to_and_fro() {
    with_hosts(Link::Good, |world, a, b| {
        let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
        for round in 1..=3 {
            migrate_and_wait(&a);
            assert_eq!(world.running(), ["b"], "round {round}");
            let back = MigrationRequest { target: "a".parse().unwrap(), ..request() };
            b.migrate(&vm(), &back).unwrap();
            b.finish();
            assert_eq!(world.running(), ["a"], "round {round}");
        }
        let epoch = a.0.store.vm(&vm()).unwrap().unwrap().ownership.epoch;
        assert_eq!(epoch, 7, "it changed hands six times");
    });
}

#[test]
fn a_second_migration_of_a_guest_on_its_way_is_refused() {
    with_hosts(Link::BreaksBeforeTheWord, |_, a, _| {
        let a = a.start(usize::MAX);
        let error = a.migrate(&vm(), &request()).unwrap_err();
        assert!(error.to_string().contains("does not answer"), "{error}");
    });
}
