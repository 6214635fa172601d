//! A request that is sent again begins nothing twice.

use super::super::NodeError;
use super::never_twice::{create, request, vm};
use super::world::{Link, World, hosts};
use crate::model::{IdempotencyKey, MigrationState};

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

#[test]
fn the_same_request_with_the_same_key_is_the_same_migration_for_ever() {
    let world = World::new(Link::Good);
    let (_folder, a, b) = hosts(&world);
    let (first, _b) = (a.start(usize::MAX), b.start(usize::MAX));
    create(&first);
    let key = key("deploy-17");
    let begun = first.migrate_once(&vm(), &request(), Some(&key)).unwrap();
    let at_once = first.migrate_once(&vm(), &request(), Some(&key)).unwrap();
    assert_eq!(at_once.id, begun.id);
    first.finish();
    // The guest is gone from here, and the daemon is another one.
    let later = a.start(usize::MAX).migrate_once(&vm(), &request(), Some(&key)).unwrap();
    assert_eq!((later.id, later.state), (begun.id, MigrationState::Completed));
    assert_eq!(first.migrations().unwrap().len(), 1);
    let without = first.migrate(&vm(), &request());
    assert!(without.is_err(), "{without:?}");
}

#[test]
fn a_key_is_for_one_request() {
    let world = World::new(Link::BreaksEarly);
    let (_folder, a, b) = hosts(&world);
    let (a, _b) = (a.start(usize::MAX), b.start(usize::MAX));
    create(&a);
    let key = key("deploy-17");
    a.migrate_once(&vm(), &request(), Some(&key)).unwrap();
    a.finish();
    let mut other = request();
    other.settings.max_downtime_ms = Some(7);
    let refused = a.migrate_once(&vm(), &other, Some(&key)).unwrap_err();
    assert!(matches!(&refused, NodeError::Key(id) if id.as_str() == "a-1"), "{refused}");
    let elsewhere = a.migrate_once(&"web2".parse().unwrap(), &request(), Some(&key)).unwrap_err();
    assert!(matches!(elsewhere, NodeError::Key(_)), "{elsewhere}");
    a.migrate_once(&vm(), &other, Some(&"deploy-18".parse().unwrap())).unwrap();
    a.finish();
    assert_eq!(a.migrations().unwrap().len(), 2);
}
