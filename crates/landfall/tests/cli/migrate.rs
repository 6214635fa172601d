//! `landfall migrate`, from the command line to a scripted machine and back.

use std::collections::BTreeSet;
use std::process::Command as Process;
use std::time::Duration;

use landfall_qmp::{
    Capability, Command, OnLimit, PageEncoding, ParametersUpdate, Policy, Version, VersionTriple,
};
use serde_json::Value;

use crate::monitor::{Ended, Machine, Script, landfall};

const DESTINATION: &str = "tcp:127.0.0.1:4444";

fn migrate(outcome: &'static str, args: &[&str]) -> Ended {
    Machine::playing(Script::EndsWith(outcome)).run("migrate", &[&[DESTINATION], args].concat())
}

#[test]
fn the_exit_code_and_the_last_line_say_how_it_ended() {
    for (outcome, code, advice) in [
        ("completed", 0, ""),
        ("failed", 3, "remove the cause"),
        ("cancelled", 5, "migrate again"),
        ("in_doubt", 6, "landfall settle"),
        ("gave_up", 7, "--max-throttle"),
    ] {
        let ended = migrate(outcome, &[]);
        assert_eq!(ended.code, Some(code), "{outcome}: {ended:?}");
        assert!(ended.last_line().contains(advice), "{outcome}: {ended:?}");
    }
}

#[test]
fn the_json_has_the_keys_that_programs_rely_on_and_nothing_else_on_its_stream() {
    let ended = migrate("completed", &["-o", "json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let keys: BTreeSet<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "outcome",
        "reason",
        "machine",
        "policy",
        "auto_converge",
        "hand_over",
        "total_ms",
        "downtime_ms",
        "predicted_downtime_ms",
        "downtime_limit_ms",
        "downtime_parts_ms",
        "passes",
        "channels",
        "memory_bytes",
        "sent_bytes",
        "pages",
        "bandwidth_bytes_per_second",
        "dirty_rate_bytes_per_second",
        "max_throttle",
        "stolen_ms",
        "guest_time_share_stolen",
        "max_stall_ms",
        "verdict",
        "integrity",
    ];
    assert_eq!(keys, expected.into());
    assert_eq!(report["downtime_parts_ms"]["last_pages"], 200.0);
    assert_eq!(report["verdict"]["needed_throttle"], 0.89);
}

#[test]
fn the_full_json_has_the_time_line_too() {
    let ended = migrate("completed", &["-o", "json", "--full"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["timeline"][0]["remaining_bytes"], 5);
    assert_eq!(report["events"][0]["event"], "pass");
}

#[test]
fn without_a_terminal_progress_comes_as_plain_lines() {
    let ended = migrate("completed", &[]);
    for line in [
        "first pass · 84 MiB left · dirties 1.04 GB/s, link 125 MB/s · throttle 89 % · it arrives",
        "pass 2 · 84 MiB left",
        "arrived in 2.31 s with 212 ms of downtime (limit 300 ms)",
    ] {
        assert!(ended.stderr.contains(line), "{line}: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains('\r') && !ended.stderr.contains('\u{1b}'));
    assert!(ended.stdout.contains("longest stall"));
}

#[test]
fn flags_become_capabilities_and_parameters() {
    let machine = Machine::playing(Script::EndsWith("completed"));
    let flags = "--policy stepped --max-downtime 50ms --max-throttle 80% --max-stall 5ms \
        --bandwidth 125MB/s --time-limit 2min --on-limit switchover --verify --peer-timeout 3s \
        --tls-identity /etc/landfall/a --tls-name b --channels 3 --encoding auto";
    let args: Vec<_> = std::iter::once(DESTINATION).chain(flags.split_whitespace()).collect();
    assert_eq!(machine.run("migrate", &args).code, Some(0));
    let set = machine.wait_for(|command| matches!(command, Command::MigrateSetCapabilities(_)));
    let Command::MigrateSetCapabilities(capabilities) = set else { panic!("{set:?}") };
    assert!(capabilities.iter().all(|it| it.state), "{capabilities:?}");
    let set = machine.wait_for(|command| matches!(command, Command::MigrateSetParameters(_)));
    let expected = ParametersUpdate {
        max_bandwidth: Some(125_000_000),
        downtime_limit: Some(Duration::from_millis(50)),
        max_cpu_throttle: Some(80),
        cpu_throttle_initial: Some(20),
        cpu_throttle_increment: Some(10),
        throttle_trigger_threshold: Some(50),
        multifd_channels: Some(3),
        channels_by_speed: Some(false),
        encoding: Some(PageEncoding::Auto),
        tls_creds: Some("/etc/landfall/a".to_owned()),
        tls_hostname: Some("b".to_owned()),
        insecure: Some(false),
        policy: Some(Policy::Stepped),
        max_stall: Some(Duration::from_millis(5)),
        time_limit: Some(Duration::from_secs(120)),
        on_limit: Some(OnLimit::Switchover),
        verify: Some(true),
        hand_over: Some(false),
        peer_timeout: Some(Duration::from_secs(3)),
    };
    assert_eq!(set, Command::MigrateSetParameters(expected));
    let begun = machine.wait_for(|command| matches!(command, Command::Migrate { .. }));
    assert_eq!(begun, Command::Migrate { uri: DESTINATION.into() });
}

#[test]
fn a_hand_over_is_asked_for_and_nothing_is_throttled_for_it() {
    let machine = Machine::playing(Script::EndsWith("completed"));
    assert_eq!(machine.run("migrate", &["unix:/run/new", "--hand-over"]).code, Some(0));
    let set = machine.wait_for(|command| matches!(command, Command::MigrateSetCapabilities(_)));
    let Command::MigrateSetCapabilities(capabilities) = set else { panic!("{set:?}") };
    let auto_converge = capabilities.iter().find(|it| it.capability == Capability::AutoConverge);
    assert_eq!(auto_converge.map(|it| it.state), Some(false));
    let set = machine.wait_for(|command| matches!(command, Command::MigrateSetParameters(_)));
    let Command::MigrateSetParameters(update) = set else { panic!("{set:?}") };
    assert_eq!(update.hand_over, Some(true));
    for (destination, flag) in [(DESTINATION, "--verify"), ("unix:/run/new", "--bandwidth=1MB/s")] {
        let ended = machine.run("migrate", &[destination, "--hand-over", flag]);
        assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
        assert!(ended.stderr.contains("--hand-over"), "{ended:?}");
    }
}

#[test]
fn auto_converge_off_leaves_the_capability_off() {
    let machine = Machine::playing(Script::EndsWith("gave_up"));
    machine.run("migrate", &[DESTINATION, "--auto-converge", "off"]);
    let set = machine.wait_for(|command| matches!(command, Command::MigrateSetCapabilities(_)));
    let Command::MigrateSetCapabilities(capabilities) = set else { panic!("{set:?}") };
    let state = |wanted| capabilities.iter().find(|it| it.capability == wanted).map(|it| it.state);
    assert_eq!(state(Capability::AutoConverge), Some(false));
    assert_eq!(state(Capability::Events), Some(true));
}

fn interrupt(pid: u32) {
    assert!(Process::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn ctrl_c_cancels_and_waits_for_the_end() {
    let machine = Machine::playing(Script::UntilCancelled);
    let child = machine.landfall("migrate", &[DESTINATION]).spawn().unwrap();
    machine.wait_for(|command| *command == Command::QueryMigrate);
    interrupt(child.id());
    machine.wait_for(|command| *command == Command::MigrateCancel);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.stderr.contains("cancelling"), "{ended:?}");
}

#[test]
fn a_second_ctrl_c_lets_it_be() {
    let machine = Machine::playing(Script::Forever);
    let child = machine.landfall("migrate", &[DESTINATION]).spawn().unwrap();
    machine.wait_for(|command| *command == Command::QueryMigrate);
    interrupt(child.id());
    machine.wait_for(|command| *command == Command::MigrateCancel);
    interrupt(child.id());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.last_line().contains("landfall status"), "{ended:?}");
}

#[test]
fn a_machine_that_goes_away_is_told_so() {
    let mut machine = Machine::playing(Script::Forever);
    let child = machine.landfall("migrate", &[DESTINATION]).spawn().unwrap();
    machine.wait_for(|command| *command == Command::QueryMigrate);
    drop(machine.server.take());
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("closed its monitor"), "{ended:?}");
}

#[test]
fn what_the_machine_refuses_is_told_with_its_reason() {
    let ended = Machine::playing(Script::Refuses).run("migrate", &[DESTINATION]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("because: a migration is under way already"), "{ended:?}");
    assert!(ended.last_line().contains("landfall status"), "{ended:?}");
}

#[test]
fn a_qemu_is_recognised_and_not_asked_for_what_it_cannot_do() {
    let qemu = VersionTriple { major: 7, minor: 2, micro: 22 };
    let version = Version { qemu, package: "Debian 1:7.2".into() };
    let machine = Machine::of_version(Script::Forever, version);
    let ended = machine.run("migrate", &[DESTINATION, "--verify"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("QEMU, which compares no digests"), "{ended:?}");
}

#[test]
fn a_machine_of_landfalls_own_needs_no_pilot_and_has_no_post_copy() {
    let machine = Machine::playing(Script::Forever);
    let ended = machine.run("pilot", &[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.last_line().contains("landfall migrate SOCKET URI"), "{ended:?}");
    let ended = machine.run("migrate", &[DESTINATION, "--on-limit", "postcopy"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("QEMU alone"), "{ended:?}");
}

#[test]
fn a_socket_that_is_not_there_is_an_error_and_a_wrong_flag_a_usage_error() {
    let run = |args: &[&str]| Ended::from(landfall().args(args).output().unwrap());
    let missing = run(&["migrate", "/nonexistent/socket", DESTINATION]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.last_line().contains("check the path"), "{missing:?}");
    for args in [
        &["migrate"][..],
        &["migrate", "s", "no:where"],
        &["migrate", "s", "NoNode"],
        &["migrate", "s", DESTINATION, "--max-downtime", "300"],
        &["migrate", "s", DESTINATION, "--policy", "off"],
        &["teleport"],
    ] {
        let ended = run(args);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stdout.is_empty());
    }
}
