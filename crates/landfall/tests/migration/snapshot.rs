//! A guest into a file and out of it again, each in a process of its own.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Output;

use landfall_qmp::{Command, RunState};

use crate::machine::{Machine, WIDE, landfall};
use crate::pair::{BUSY, Pair, assert_completed};

/// `landfall vm snapshot` of the pair's source, with `more` behind it.
fn snapshot(source: &Machine, file: &Path, more: &[&str]) -> Output {
    let mut command = landfall();
    command.args(["vm", "snapshot"]).arg(source.monitor()).arg(file).args(more).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

/// Why a process that is to restore `file` ends.
fn refusal(file: &Path) -> String {
    let mut command = landfall();
    command.args(["vm", "run", "--restore"]).arg(file);
    let output = command.arg("--qmp").arg(file.with_extension("qmp")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    said(&output)
}

#[test]
fn a_guest_goes_on_and_its_copy_can_be_restored_and_moved() {
    let mut pair = Pair::of(BUSY);
    let file = pair.socket("guest.snapshot");
    let output = snapshot(&pair.source, &file, &[]);
    assert!(said(&output).ends_with("the guest goes on\n"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(0));
    pair.source.assert_runs();
    let mut restored = pair.machine("restored", &["--restore", &file.display().to_string()]);
    restored.assert_runs();
    let mut destination = pair.destination();
    restored.migrate(destination.uri(), &WIDE);
    assert_completed(&restored.report());
    destination
        .machine
        .until("the guest", |machine| (machine.status() == RunState::Running).then_some(()));
    destination.machine.assert_runs();
}

#[test]
fn a_guest_that_is_to_stop_stays_stopped_and_runs_where_it_is_restored() {
    let mut pair = Pair::of(BUSY);
    let file = pair.socket("guest.snapshot");
    let output = snapshot(&pair.source, &file, &["--stop"]);
    assert!(said(&output).ends_with("the guest is stopped\n"), "{}", said(&output));
    assert_eq!(pair.source.status(), RunState::Paused);
    let mut restored = pair.machine("restored", &["--restore", &file.display().to_string()]);
    restored.assert_runs();
    // Whoever wants both has both.
    pair.source.execute(&Command::Cont);
    pair.source.assert_runs();
}

#[test]
fn a_snapshot_for_which_there_is_no_room_leaves_the_guest_as_it_was() {
    let mut pair = Pair::of(BUSY);
    let file = pair.socket("guest.snapshot");
    let mut machine = Machine::start_without_room("source-2", file.parent().unwrap());
    machine.until("the first lap", |machine| (machine.vm().laps? >= 1.0).then_some(()));
    let before = names(file.parent().unwrap());
    for stop in [&[][..], &["--stop"]] {
        let output = snapshot(&machine, &file, stop);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("nothing was kept of it"), "{}", said(&output));
        machine.assert_runs();
    }
    assert_eq!(names(file.parent().unwrap()), before);
    pair.source.assert_runs();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_is_not_whole_gives_no_guest() {
    let pair = Pair::of(BUSY);
    let file = pair.socket("guest.snapshot");
    assert_eq!(snapshot(&pair.source, &file, &[]).status.code(), Some(0));
    let again = snapshot(&pair.source, &file, &[]);
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    let length = fs::metadata(&file).unwrap().len();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 5000).unwrap();
    let why = refusal(&file);
    assert!(why.contains("is cut off; copy it again, or take another"), "{why}");
    fs::write(&file, "something else, and long enough").unwrap();
    let why = refusal(&file);
    assert!(why.contains("is no snapshot"), "{why}");
}
