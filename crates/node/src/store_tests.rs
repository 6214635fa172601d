use std::path::PathBuf;

use super::{Begun, MOST_MIGRATIONS, Store, StoreError};
use crate::model::{IdempotencyKey, Migration, MigrationState, Policy, VmName, VmRecord};
use crate::ownership::{Conflict, Holding, Ownership, Step};

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("node.redb")).unwrap();
    (folder, store)
}

fn record(name: &str) -> VmRecord {
    let text =
        format!("name = '{name}'\n[native]\nmemory = '64MiB'\nprobe = {{ workload = 'sweep' }}");
    VmRecord {
        spec: toml::from_str(&text).unwrap(),
        ownership: Ownership::first(),
        process: None,
        monitor: PathBuf::from("a.qmp"),
        trouble: None,
        settlement: None,
    }
}

fn name(text: &str) -> VmName {
    text.parse().unwrap()
}

fn put(store: &Store, record: &VmRecord) {
    store.change_vm::<StoreError>(&record.spec.name, |_| Ok(record.clone())).unwrap();
}

#[test]
fn what_was_written_is_there_when_it_is_opened_again() {
    let (folder, store) = store();
    put(&store, &record("web1"));
    drop(store);
    let store = Store::open(&folder.path().join("node.redb")).unwrap();
    assert_eq!(store.vms().unwrap(), [record("web1")]);
    assert_eq!(store.vm(&name("web2")).unwrap(), None);
}

#[test]
fn a_second_daemon_is_told_that_there_is_one() {
    let (folder, _store) = store();
    let second = Store::open(&folder.path().join("node.redb"));
    assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
}

#[test]
fn a_step_that_is_refused_changes_nothing() {
    let (_folder, store) = store();
    put(&store, &record("web1"));
    let offer = |number: u8| Step::Offer {
        to: "b".parse().unwrap(),
        migration: format!("a-{number}").parse().unwrap(),
    };
    store.step(&name("web1"), &offer(1)).unwrap();
    let second = store.step(&name("web1"), &offer(2));
    assert!(matches!(second, Err(StoreError::Conflict(Conflict::UnderWay(_)))), "{second:?}");
    let holding = store.vm(&name("web1")).unwrap().unwrap().ownership.holding;
    assert!(matches!(holding, Holding::Outgoing { migration, .. } if migration.as_str() == "a-1"));
}

#[test]
fn migrations_are_numbered_on_also_after_a_new_start() {
    let (folder, store) = store();
    let node = "a".parse().unwrap();
    assert_eq!(store.next_migration(&node).unwrap().as_str(), "a-1");
    drop(store);
    let store = Store::open(&folder.path().join("node.redb")).unwrap();
    assert_eq!(store.next_migration(&node).unwrap().as_str(), "a-2");
}

#[test]
fn a_file_that_is_no_store_is_left_as_it_is_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.redb");
    std::fs::write(&path, "something else").unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(error.to_string().contains("node.redb"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "something else");
}

#[test]
fn own_policies_come_and_go() {
    let (_folder, store) = store();
    let policy = Policy { name: "night".parse().unwrap(), ..Policy::built_in().remove(0) };
    store.put_policy(&policy).unwrap();
    assert_eq!(store.policies().unwrap(), std::slice::from_ref(&policy));
    store.remove_policy(&policy.name).unwrap();
    assert!(store.policies().unwrap().is_empty());
}

fn migration(number: usize) -> Migration {
    Migration {
        id: format!("a-{number}").parse().unwrap(),
        vm: name("web1"),
        source: "a".parse().unwrap(),
        target: "b".parse().unwrap(),
        policy: "balanced".parse().unwrap(),
        settings: Policy::built_in().remove(0).settings,
        epoch: 2,
        state: MigrationState::Completed,
        reason: None,
        requested_ms: 0,
        began_ms: None,
        ended_ms: None,
        report: None,
        cancel_requested: false,
        settlement: None,
    }
}

#[test]
fn a_key_is_kept_for_as_long_as_what_it_has_begun() {
    let (_folder, store) = store();
    let key: IdempotencyKey = "deploy-17".parse().unwrap();
    let first = migration(1);
    let begun =
        Begun { key: key.clone(), sha256: "digest".to_owned(), migration: first.id.clone() };
    store.begin_migration(&first, Some(&begun)).unwrap();
    for number in 2..=MOST_MIGRATIONS {
        store.put_migration(&migration(number)).unwrap();
    }
    store.next_migration(&first.source).unwrap();
    assert_eq!(store.by_key(&key).unwrap(), Some(begun));
    assert_eq!(store.by_key(&"other".parse().unwrap()).unwrap(), None);
    store.put_migration(&migration(MOST_MIGRATIONS + 1)).unwrap();
    store.next_migration(&first.source).unwrap();
    assert_eq!(store.migration(&first.id).unwrap(), None, "it is older than what is kept");
    assert_eq!(store.by_key(&key).unwrap(), None);
}
