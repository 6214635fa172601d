use std::process::Command;

use super::{ProcessId, last_words, parse, start};

#[test]
fn a_name_with_parentheses_does_not_confuse() {
    let stat = format!("7 (a) b) S {} 4711 0", "0 ".repeat(18).trim_end());
    assert_eq!(parse(&stat), Some((4711, 'S')));
}

#[test]
fn this_process_is_alive_and_an_earlier_one_of_its_number_is_not() {
    let this = ProcessId::of(std::process::id()).unwrap();
    assert!(this.is_alive());
    assert!(!ProcessId { start_time: this.start_time + 1, ..this }.is_alive());
}

#[test]
fn what_a_process_said_last_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "echo one; echo two >&2; echo; read line || sleep 100"]);
    let process = start(command, &log).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while last_words(&log).as_deref() != Some("two") {
        assert!(std::time::Instant::now() < deadline, "nothing was written");
        std::thread::yield_now();
    }
    assert!(process.is_alive());
    process.kill();
    assert!(process.ends_within(std::time::Duration::from_secs(20)));
    assert!(!process.is_alive());
}

#[test]
fn an_error_is_told_with_its_causes_and_without_where_to_find_help() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let told = |text: &str| {
        std::fs::write(&log, text).unwrap();
        last_words(&log)
    };
    let causes = "the monitor listens\nerror: it could not be run\n  because: there is no kernel\n";
    assert_eq!(told(causes).unwrap(), "it could not be run: there is no kernel");
    let usage = "error: invalid value 'x' for '--probe'\n\nFor more information, try '--help'.\n";
    assert_eq!(told(usage).unwrap(), "invalid value 'x' for '--probe'");
    assert_eq!(told("\n"), None);
}
