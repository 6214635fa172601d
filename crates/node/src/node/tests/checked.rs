//! What is looked at before anything is begun, and what is told of it.

use std::sync::atomic::Ordering;

use super::coming_in::offer;
use super::never_twice::{create, request, vm};
use super::world::{Link, World, hosts};
use crate::model::{Check, CheckItem, Severity};

fn item<'a>(check: &'a Check, code: &str) -> &'a CheckItem {
    let found = check.items.iter().find(|item| item.code == code);
    found.unwrap_or_else(|| panic!("nothing is said of '{code}': {check:?}"))
}

#[test]
fn everything_that_a_migration_depends_on_is_looked_at() {
    let (_folder, a, b) = hosts(&World::new(Link::Good));
    let (a, _b) = (a.start(usize::MAX), b.start(usize::MAX));
    create(&a);
    let check = a.check(&vm(), &request()).unwrap();
    for code in ["guest", "migration", "target", "version", "memory", "turn", "name", "files"] {
        assert_eq!(item(&check, code).severity, Severity::Ok, "{check:?}");
    }
    for code in ["disks", "disk_lock", "network", "machine"] {
        assert_eq!(item(&check, code).severity, Severity::Ok, "{check:?}");
    }
    for code in ["cpu", "protection", "prediction"] {
        assert!(item(&check, code).severity < Severity::Warning, "{check:?}");
    }
    assert!(check.allowed);
    let host = a.check_host(&vm(), &request().target).unwrap();
    assert!(host.prediction.is_none() && host.items.iter().all(|it| it.code != "prediction"));
    assert_eq!(item(&host, "machine").severity, Severity::Ok);
}

/// What is free of the memory says nothing of them.
#[test]
fn huge_pages_come_from_the_pool_of_the_target() {
    let (_folder, a, b) = hosts(&World::new(Link::Good));
    let (a, _b) = (a.start(usize::MAX), b.start(usize::MAX));
    let native = "memory = '1024TiB'\nhugepages = '2MiB'\nprobe = { workload = 'sweep' }";
    a.create(toml::from_str(&format!("name = 'web1'\n[native]\n{native}")).unwrap()).unwrap();
    let check = a.check(&vm(), &request()).unwrap();
    let memory = item(&check, "memory");
    assert_eq!(memory.severity, Severity::Info);
    assert!(memory.message.contains("the pool of b, in huge pages of 2MiB"), "{memory:?}");
}

#[test]
fn what_a_node_of_an_earlier_version_does_not_look_at_is_no_failure() {
    let world = World::new(Link::Good);
    let (_folder, a, b) = hosts(&world);
    let (a, _b) = (a.start(usize::MAX), b.start(usize::MAX));
    create(&a);
    world.is_of_an_earlier_version.store(true, Ordering::Release);
    let check = a.check(&vm(), &request()).unwrap();
    for code in ["disks", "disk_lock", "network", "machine"] {
        let item = item(&check, code);
        assert_eq!(item.severity, Severity::Info);
        assert!(item.message.starts_with("not checked there: b runs Landfall"), "{item:?}");
    }
    // What it looks at is told all the same.
    for code in ["name", "files"] {
        assert_eq!(item(&check, code).severity, Severity::Ok);
    }
    assert!(check.allowed);
    a.migrate(&vm(), &request()).unwrap();
    a.finish();
    assert_eq!(world.running(), ["b"]);
}

#[test]
fn a_guest_that_waits_for_its_turn_is_on_its_way_already() {
    let (_folder, a, b) = hosts(&World::new(Link::Good));
    let (a, b) = (a.start(usize::MAX), b.start(usize::MAX));
    create(&a);
    for number in [7, 8] {
        b.expect(&offer(number)).unwrap();
    }
    let turn = a.check(&vm(), &request()).unwrap();
    assert_eq!(item(&turn, "turn").severity, Severity::Info);
    assert!(item(&turn, "turn").message.contains("b takes 2 guests at a time"), "{turn:?}");
    assert!(turn.allowed);
    a.migrate(&vm(), &request()).unwrap();
    let check = a.check(&vm(), &request()).unwrap();
    assert_eq!(item(&check, "migration").severity, Severity::Error);
    assert!(item(&check, "migration").message.contains("(a-1)"), "{check:?}");
    assert!(!check.allowed);
    a.leave();
}
