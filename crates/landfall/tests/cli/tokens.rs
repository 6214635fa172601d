//! Who may ask a node for what.

use std::path::PathBuf;

use serde_json::Value;

use crate::daemon::Hosts;
use crate::monitor::Ended;

const IDLE: &str = "workload = 'read-only'\nworking_set = '16MiB'";

/// Has node `a` give out a token, and keeps it in a file.
fn token(hosts: &Hosts, name: &str, scope: &str) -> PathBuf {
    let drawn = hosts.run("a", &format!("node token add {name} --scope {scope}"));
    assert_eq!(drawn.code, Some(0), "{drawn:?}");
    let path = hosts.path().join(name);
    std::fs::write(&path, drawn.stdout).unwrap();
    path
}

/// What becomes of a command that is asked of node `a` with that token.
fn with(hosts: &Hosts, token: &PathBuf, words: &str) -> Ended {
    Ended::from(hosts.ask("a", words).env("LANDFALL_TOKEN_FILE", token).output().unwrap())
}

#[test]
fn who_may_only_look_migrates_nothing() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", IDLE);
    let read = token(&hosts, "dashboard", "read");
    assert!(with(&hosts, &read, "vm list").stdout.contains("web1"));
    for words in [
        "migrate web1 b",
        "vm stop web1",
        "vm forget web1",
        "node drain a",
        "policy remove mine",
        "node token add other --scope admin",
        "node token list",
    ] {
        let refused = with(&hosts, &read, words);
        assert_eq!(refused.code, Some(1), "{words}: {refused:?}");
        assert!(refused.stderr.contains("this token's scope is 'read'"), "{words}: {refused:?}");
    }
    assert_eq!(hosts.json("a", "vm show web1")["state"], "running");
    assert_eq!(hosts.json("a", "migration list"), Value::Array(Vec::new()));
}

#[test]
fn who_operates_migrates_but_brings_in_nothing_new() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", IDLE);
    let operate = token(&hosts, "night-shift", "operate");
    let refused = with(&hosts, &operate, "vm adopt db1 /run/db1.qmp");
    assert!(refused.stderr.contains("needs 'admin'"), "{refused:?}");
    let moved = with(&hosts, &operate, "migrate web1 b");
    assert_eq!(moved.code, Some(0), "{moved:?}");
}

#[test]
fn a_token_that_was_taken_away_opens_nothing_and_one_that_was_not_outlives_the_daemon() {
    let mut hosts = Hosts::start();
    let (one, other) = (token(&hosts, "one", "read"), token(&hosts, "other", "read"));
    let again = hosts.run("a", "node token add one --scope read");
    assert!(again.stderr.contains("there is a token 'one' already"), "{again:?}");
    assert_eq!(hosts.run("a", "node token remove one").stdout, "one  removed\n");
    hosts.kill("a");
    hosts.daemon("a", &[]);
    let stranger = with(&hosts, &one, "vm list");
    assert!(stranger.stderr.contains("show the node's token"), "{stranger:?}");
    assert_eq!(with(&hosts, &other, "vm list").code, Some(0));
    let listed = hosts.json("a", "node token list");
    assert_eq!((&listed[0]["name"], &listed[0]["scope"]), (&"other".into(), &"read".into()));
    assert!(listed[1].is_null() && listed[0]["secret"].is_null(), "{listed}");
}
