//! Migrations that fail, and machines that die.

use landfall_qmp::MigrationStatus;

use crate::landfall::{Pilot, report, run};
use crate::machine::Pair;

const BUSY: &str = "sweep,working-set=128MiB";

/// A migration that is steered, and has come to its throttle.
fn under_way(pair: &mut Pair) -> Pilot {
    let pilot = Pilot::beside(&pair.source.for_pilot);
    let parameters =
        landfall_qmp::ParametersUpdate { max_bandwidth: Some(125_000_000), ..Default::default() };
    let set = landfall_qmp::Command::MigrateSetParameters(parameters);
    pair.source.client.execute(&set).unwrap();
    let migrate = landfall_qmp::Command::Migrate { uri: pair.uri.clone() };
    pair.source.client.execute(&migrate).unwrap();
    pair.source.wait_for_a_throttle();
    pair.source.hold_up();
    pilot
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_destination_that_dies_leaves_the_guest_at_the_source_unthrottled() {
    let mut pair = Pair::start(BUSY);
    let pilot = under_way(&mut pair);
    pair.destination.kill();
    let (code, report, said) = pilot.end();
    assert_eq!(code, 3, "{said}");
    assert_eq!(report["outcome"], "failed");
    assert!(!report["reason"].as_str().unwrap().is_empty());
    let info = pair.source.migration();
    assert_eq!((info.status, info.cpu_throttle_percentage), (MigrationStatus::Failed, None));
    assert_eq!(pair.source.settings().0["cpu-throttle-initial"], 20);
    pair.assert_stayed();
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_source_that_dies_takes_the_guest_with_it_and_nothing_is_claimed() {
    let mut pair = Pair::start(BUSY);
    let pilot = under_way(&mut pair);
    pair.source.kill();
    let (code, report, said) = pilot.end();
    assert_eq!(code, 6, "{said}");
    assert!(report["reason"].as_str().unwrap().contains("Look at the destination"), "{report}");
    // A QEMU that waits for a guest ends when half of one has come.
    pair.destination.wait_for_its_end();
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_destination_that_is_not_there_is_said_in_qemus_words() {
    let mut pair = Pair::start(BUSY);
    let output = run(&["migrate", "unix:/nowhere/at-all", "-o", "json"], &pair.source.for_pilot);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 3)), "{said}");
    assert!(said.contains("No such file"), "{said}");
    pair.assert_stayed();
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn without_auto_converge_it_gives_up_and_the_guest_stays() {
    let mut pair = Pair::start(BUSY);
    let limits = ["--auto-converge", "off", "--time-limit", "3s"];
    let mut arguments = vec!["migrate", &pair.uri, "--bandwidth", "125MB/s", "-o", "json"];
    arguments.extend(limits);
    let output = run(&arguments, &pair.source.for_pilot);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(7), "{report}");
    assert_eq!(report["max_throttle"], 0.0);
    pair.assert_stayed();
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_monitor_that_somebody_holds_is_said_to_be_held_and_what_to_do() {
    let pair = Pair::start(BUSY);
    let output = run(&["pilot"], &pair.source.held);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("second monitor"), "{said}");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn what_qemu_cannot_do_is_refused_before_anything_begins() {
    let mut pair = Pair::start(BUSY);
    for flags in [["--policy", "stepped"].as_slice(), &["--verify"]] {
        let mut arguments = vec!["migrate", &pair.uri];
        arguments.extend(flags);
        let output = run(&arguments, &pair.source.for_pilot);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(flags[0]), "{said}");
    }
    assert_eq!(pair.source.migration().status, MigrationStatus::None);
    pair.assert_stayed();
}
