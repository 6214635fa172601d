//! `landfall migration`: a migration under way is looked at, changed and called off.

use std::process::Child;
use std::thread;

use serde_json::Value;

use crate::machine::{Ended, Machine, landfall};

/// A guest that the link cannot follow and that must not be throttled: its migration never arrives.
fn stuck() -> (Machine, Machine, Child) {
    let source = Machine::with_guest("sweep,working-set=32MiB,rate=200MB/s");
    let destination = Machine::waiting();
    let limits = ["--auto-converge", "off", "--bandwidth", "40MB/s", "--max-downtime", "200ms"];
    let child = source.migrate(&destination, &limits);
    source.wait_for_pass(2);
    (source, destination, child)
}

fn ended(child: Child) -> Ended {
    Ended::from(child.wait_with_output().unwrap())
}

#[test]
fn more_bandwidth_makes_a_migration_arrive_that_could_not() {
    let (source, _destination, child) = stuck();
    let set = source.run(&["migration", "set"], &["--bandwidth", "unlimited"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    assert!(set.stdout.contains("bandwidth as much as the link takes"), "{set:?}");
    assert!(set.stdout.contains("downtime 200 ms"), "what was not named stays: {set:?}");
    let migrated = ended(child);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
}

#[test]
fn a_longer_downtime_makes_a_migration_arrive_that_could_not() {
    let (source, _destination, child) = stuck();
    let set = source.run(&["migration", "set"], &["--max-downtime", "2s"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    let migrated = ended(child);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
}

#[test]
fn a_harder_throttle_makes_a_migration_arrive_that_could_not() {
    let source = Machine::with_guest("sweep,working-set=32MiB,rate=200MB/s");
    let destination = Machine::waiting();
    let limits = ["--max-throttle", "10%", "--bandwidth", "40MB/s", "--max-downtime", "100ms"];
    let child = source.migrate(&destination, &limits);
    source.wait_for_pass(2);
    let set = source.run(&["migration", "set"], &["--max-throttle", "99%"]);
    assert_eq!(set.code, Some(0), "{set:?}");
    let migrated = ended(child);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
}

#[test]
fn a_time_limit_that_is_set_late_counts_from_the_beginning() {
    let (source, _destination, child) = stuck();
    let limits = ["--time-limit", "1ms", "--on-limit", "switchover"];
    let set = source.run(&["migration", "set"], &limits);
    assert!(set.stdout.contains("switches over after 1.0 ms"), "{set:?}");
    let migrated = ended(child);
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
}

#[test]
fn one_that_is_called_off_leaves_the_guest_at_the_source() {
    let (source, _destination, child) = stuck();
    let shown = source.run(&["migration", "show"], &[]);
    assert!(shown.stdout.contains("limits     downtime 200 ms, bandwidth 40 MB/s"), "{shown:?}");
    assert!(shown.stdout.contains("migration  pass"), "{shown:?}");
    let cancelled = source.run(&["migration", "cancel"], &[]);
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    assert!(cancelled.stderr.contains("the guest runs on at the source"), "{cancelled:?}");
    assert_eq!(ended(child).code, Some(5));
    let status = source.status();
    assert!(!status.dirty_log && status.throttle == 0.0, "{status:?}");
}

#[test]
fn a_watcher_sees_every_moment_and_the_report() {
    let (source, _destination, child) = stuck();
    let socket = source.socket();
    let args = ["migration", "watch", socket.to_str().unwrap(), "-o", "ndjson"];
    // Read all the while, or it would wait for its reader instead of the migration.
    let mut watcher = landfall(&args);
    let watcher = thread::spawn(move || Ended::from(watcher.output().unwrap()));
    // One that looks on changes nothing: the migration ends as this says.
    source.run(&["migration", "set"], &["--bandwidth", "unlimited"]);
    assert_eq!(ended(child).code, Some(0));
    let watched = watcher.join().unwrap();
    assert_eq!(watched.code, Some(0), "{}", watched.stderr);
    let lines: Vec<Value> =
        watched.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [moments @ .., last] = lines.as_slice() else { panic!("nothing was written") };
    assert_eq!(last["report"]["outcome"], "completed");
    assert!(!moments.is_empty());
    assert!(moments.iter().all(|moment| moment["remaining_bytes"].is_u64()), "{moments:?}");
}

#[test]
fn without_a_migration_there_is_nothing_to_change() {
    let machine = Machine::with_guest("sweep,working-set=8MiB,rate=4MB/s");
    for (command, args) in [("set", &["--bandwidth", "1GB/s"][..]), ("cancel", &[]), ("watch", &[])]
    {
        let ended = machine.run(&["migration", command], args);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("no migration is under way"), "{ended:?}");
    }
    let shown = machine.run(&["migration", "show"], &[]);
    assert!(shown.stdout.starts_with("migration  none\n"), "{shown:?}");
    let usage = machine.run(&["migration", "set"], &[]);
    assert_eq!(usage.code, Some(2), "{usage:?}");
}
