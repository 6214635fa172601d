use std::path::{Path, PathBuf};

use super::incoming;
use crate::model::QemuSpec;

fn words(command: &[&str]) -> Vec<String> {
    let spec = QemuSpec {
        socket: PathBuf::from("/run/web1.qmp"),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
    };
    let command = incoming(&spec, Path::new("/b/qmp"), Some("10.0.0.2")).unwrap();
    let arguments = command.get_args().map(|word| word.to_string_lossy().into_owned());
    arguments.collect()
}

#[test]
fn a_destination_is_started_by_the_same_command_with_a_monitor_of_its_own() {
    let command = ["qemu", "-m", "512", "-qmp", "unix:/run/web1.qmp,server=on,wait=off"];
    let expected =
        ["-m", "512", "-qmp", "unix:/b/qmp,server=on,wait=off", "-incoming", "tcp:10.0.0.2:0"];
    assert_eq!(words(&command), expected);
}

#[test]
fn what_must_not_be_done_twice_is_left_out() {
    let command = [
        "qemu",
        "--daemonize",
        "-pidfile",
        "/run/pid",
        "-incoming",
        "defer",
        "-qmp",
        "/run/web1.qmp",
    ];
    assert_eq!(words(&command), ["-qmp", "/b/qmp", "-incoming", "tcp:10.0.0.2:0"]);
}

#[test]
fn a_monitor_is_added_where_the_command_names_none() {
    let arguments = words(&["qemu", "-m", "512"]);
    assert_eq!(arguments[2..4], ["-qmp", "unix:/b/qmp,server=on,wait=off"]);
}

#[test]
fn an_unknown_command_is_said_to_be_unknown() {
    let spec = QemuSpec { socket: PathBuf::from("/run/web1.qmp"), command: Vec::new() };
    let error = incoming(&spec, Path::new("/b/qmp"), Some("10.0.0.2")).unwrap_err();
    assert!(error.to_string().contains("adopt it again"), "{error}");
}
