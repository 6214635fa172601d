use std::process::Command;

use super::*;

fn presence(name: &str, process: ProcessId) -> Presence {
    let address = "http://127.0.0.1:7101".to_owned();
    let token = "/a/token".into();
    Presence { name: name.parse().unwrap(), address, token, authority: None, socket: None, process }
}

#[test]
fn a_daemon_is_found_until_it_says_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let here = presence("a", ProcessId::of(std::process::id()).unwrap());
    assert_eq!(present_in(folder.path()).unwrap(), []);
    let announced = announce_in(folder.path(), &here).unwrap();
    assert_eq!(present_in(folder.path()).unwrap(), [here]);
    drop(announced);
    assert_eq!(present_in(folder.path()).unwrap(), []);
}

#[test]
fn one_that_was_killed_is_not_found_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let there = presence("b", ProcessId::of(child.id()).unwrap());
    let _announced = announce_in(folder.path(), &there).unwrap();
    assert_eq!(present_in(folder.path()).unwrap(), [there]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(present_in(folder.path()).unwrap(), []);
}

#[test]
fn what_is_no_presence_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.json"), "{").unwrap();
    fs::write(folder.path().join("1.half"), "{}").unwrap();
    assert_eq!(present_in(folder.path()).unwrap(), []);
}
