//! `landfall status` and `landfall settle` against a scripted machine.

use landfall_qmp::Command;
use serde_json::Value;

use crate::monitor::{Machine, Script};

#[test]
fn the_status_of_an_idle_machine_is_short() {
    let ended = Machine::playing(Script::Forever).run("status", &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "guest      running\nmachine    synthetic, 1 vCPU, 512 MiB\nthrottle   none\ndirty log  off\n\
         migration  none\n"
    );
}

#[test]
fn the_status_tells_of_a_migration_that_is_over() {
    let machine = Machine::playing(Script::EndsWith("gave_up"));
    machine.run("migrate", &["unix:/x"]);
    let ended = machine.run("status", &[]);
    assert!(ended.stdout.contains("migration  did not arrive: gave up after 2.31 s"), "{ended:?}");
}

#[test]
fn the_status_is_there_for_programs_too() {
    let ended = Machine::playing(Script::Forever).run("status", &["-o", "json"]);
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(shown["guest"]["status"], "running");
    assert_eq!(shown["vm"]["memory_bytes"], 536_870_912);
}

#[test]
fn an_operator_settles_a_guest_in_doubt() {
    for (word, run) in [("run", true), ("discard", false)] {
        let machine = Machine::playing(Script::Forever);
        assert_eq!(machine.run("settle", &[word]).code, Some(0));
        machine.wait_for(|command| *command == Command::Settle { run });
    }
}
