//! What the process of a machine may do, and what it may not.

use std::fs;
use std::path::Path;

use landfall_qmp::Command;

use crate::machine::{Machine, NARROW, landfall};
use crate::pair::{BUSY, Pair};

/// A field of the status of each thread, behind the thread's name.
fn of_each_thread(machine: &Machine, field: &str) -> Vec<(String, String)> {
    let threads = fs::read_dir(format!("/proc/{}/task", machine.process().id())).unwrap();
    let read = |path: &Path| {
        // A thread that has ended meanwhile is none.
        let status = fs::read_to_string(path.join("status")).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(field));
        let name = fs::read_to_string(path.join("comm")).ok()?;
        Some((name.trim().to_owned(), value.unwrap().trim().to_owned()))
    };
    threads.filter_map(|thread| read(&thread.unwrap().path())).collect()
}

fn assert_confined(machine: &Machine, expected: &str) {
    let names = of_each_thread(machine, "Name:");
    assert!(names.iter().any(|(name, _)| name == expected), "{expected} in {names:?}");
    for (field, confined) in [("Seccomp:", "2"), ("NoNewPrivs:", "1")] {
        for (name, value) in of_each_thread(machine, field) {
            assert_eq!(value, confined, "{field} {name}");
        }
    }
}

#[test]
fn every_thread_of_both_ends_is_confined_during_a_migration() {
    let mut pair = Pair::of(BUSY);
    let mut destination = pair.destination();
    pair.source.migrate(destination.uri(), &NARROW);
    pair.source.until("pages on their way", |source| {
        source.migration().ram.filter(|ram| ram.transferred > 0).map(drop)
    });
    // It has begun with its pages only after the destination has built its machine.
    for (machine, expected) in [(&pair.source, "send0"), (&destination.machine, "incoming")] {
        assert_confined(machine, expected);
    }
    for machine in [&mut pair.source, &mut destination.machine] {
        // Two of the process, and one of its own.
        machine.until("its vCPU", |machine| {
            let filters = of_each_thread(machine, "Seccomp_filters:");
            filters.contains(&("vcpu0".to_owned(), "3".to_owned())).then_some(())
        });
    }
    pair.source.execute(&Command::MigrateCancel);
    pair.source.report();
    pair.assert_unharmed();
}

#[test]
fn without_the_sandbox_nothing_is_confined() {
    let pair = Pair::of(BUSY);
    let machine = pair.machine("open", &["--no-sandbox", "--probe", BUSY.probe]);
    for (name, value) in of_each_thread(&machine, "Seccomp:") {
        assert_eq!(value, "0", "{name}");
    }
}

#[test]
fn a_file_elsewhere_is_refused_and_the_guest_goes_on() {
    let mut pair = Pair::of(BUSY);
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("guest.snapshot");
    let snapshot =
        |file: &Path| Command::Snapshot { file: file.display().to_string(), stop: false };
    if !pair.source.is_limited_to_paths() {
        eprintln!("skipping: this kernel has no Landlock");
        return;
    }
    let refusal = pair.source.refusal(&snapshot(&file));
    assert!(refusal.contains("Permission denied"), "{refusal}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    pair.source.assert_runs();
    pair.source.execute(&snapshot(&pair.socket("guest.snapshot")));
    pair.source.assert_runs();
}

#[test]
fn a_path_that_is_to_be_allowed_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = landfall();
    command.args(["vm", "run", "--probe", "sweep", "--allow"]).arg(folder.path().join("none"));
    let output = command.arg("--qmp").arg(folder.path().join("qmp")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("none cannot be allowed; name a file or folder"), "{said}");
}
