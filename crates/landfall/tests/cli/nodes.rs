//! Commands that are asked of a daemon.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command as Process;

use serde_json::Value;

use crate::daemon::Hosts;
use crate::monitor::{Ended, landfall};

const IDLE: &str = "workload = 'read-only'\nworking_set = '16MiB'";
const SWEEP: &str = "workload = 'sweep'\nworking_set = '16MiB'\nrate = '200MB/s'";

#[test]
fn a_machine_is_started_moved_and_stopped_by_its_name() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", IDLE);
    let listed = hosts.run("a", "vm list");
    let row = listed.stdout.lines().nth(1).unwrap_or_default();
    let words: Vec<_> = row.split_whitespace().collect();
    assert_eq!(words, ["web1", "native", "running", "a", "–", "–"], "{listed:?}");

    let moved = hosts.run("a", "migrate web1 b -o json");
    assert_eq!(moved.code, Some(0), "{moved:?}");
    let report: Value = serde_json::from_str(&moved.stdout).unwrap();
    assert_eq!(report["outcome"], "completed");
    assert!(moved.stderr.contains("a-1: 'web1' from a to b"), "{moved:?}");
    assert_eq!(hosts.json("a", "vm show web1")["state"], "away");
    assert_eq!(hosts.json("b", "vm show web1")["state"], "running");

    let shown = hosts.run("a", "migration show a-1");
    assert!(shown.stdout.contains("arrived in"), "{shown:?}");
    assert!(hosts.run("a", "migration list").stdout.contains("arrived"));
    assert!(hosts.run("a", "migration report a-1").stdout.contains("longest stall"));

    assert_eq!(hosts.run("b", "vm stop web1 --force").stdout, "web1  stopped\n");
    assert_eq!(hosts.run("b", "vm start web1").stdout, "web1  running\n");
    let refused = hosts.run("b", "vm forget web1");
    assert!(refused.last_line().contains("landfall vm stop web1 --force"), "{refused:?}");
    // A probe cannot be asked, and is not ended by somebody who asks.
    let asked = hosts.run("b", "vm stop web1");
    assert!(asked.last_line().contains("has no power button"), "{asked:?}");
    assert_eq!(hosts.json("b", "vm show web1")["state"], "running");
    hosts.run("b", "vm stop web1 --force");
    assert_eq!(hosts.run("b", "vm forget web1").stdout, "web1  forgotten\n");
}

#[test]
fn on_the_host_itself_a_command_needs_neither_a_token_nor_a_flag() {
    let hosts = Hosts::certified();
    hosts.guest("a", "web1", IDLE);
    // Neither is looked at, so that neither need be there.
    std::fs::remove_file(hosts.data("a").join("token")).unwrap();
    assert!(hosts.run("a", "vm list").stdout.contains("web1"));
    let token = hosts.path().join("no-token");
    std::fs::write(&token, "something else").unwrap();
    let named = hosts.run("a", &format!("vm list --token-file {}", token.display()));
    assert!(named.stderr.contains("show the node's token"), "{named:?}");
}

#[test]
fn the_check_beforehand_is_told_and_refuses_by_the_exit_code() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", IDLE);
    let check = hosts.run("a", "migrate web1 b --check");
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains("arrives without help"), "{check:?}");
    for (words, reason) in
        [("migrate web1 a --check", "on a already"), ("migrate web1 c --check", "no node 'c'")]
    {
        let refused = hosts.run("a", words);
        assert_eq!(refused.code, Some(4), "{refused:?}");
        assert!(refused.stdout.contains(reason), "{refused:?}");
    }
    let refused = hosts.run("a", "migrate web1 a");
    assert_eq!(refused.code, Some(4), "{refused:?}");
    assert!(refused.stderr.contains("on a already"), "{refused:?}");
    assert_eq!(hosts.json("a", "migration list"), Value::Array(Vec::new()), "nothing was begun");
}

#[test]
fn a_migration_goes_on_by_itself_and_is_watched_changed_and_called_off() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", SWEEP);
    let slowly =
        "migrate web1 b --detach --bandwidth 1MB/s --max-downtime 1ms --idempotency-key k1";
    // Sent again, as by somebody whose connection broke, it is the same migration.
    for time in 1..=2 {
        let begun = hosts.run("a", slowly);
        assert_eq!((begun.code, begun.stdout.as_str()), (Some(0), "a-1\n"), "{time}: {begun:?}");
    }
    let other = hosts.run("a", "migrate web1 b --idempotency-key k1");
    assert!(other.stderr.contains("has begun a-1; use a new key"), "{other:?}");
    let again = hosts.run("a", "migrate web1 b");
    assert!(again.stderr.contains("being migrated already"), "{again:?}");

    let mut watch = hosts.ask("a", "migration watch a-1 -o ndjson").spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let moving = lines.by_ref().find_map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (line["migration"]["state"] == "moving").then_some(line)
    });
    assert_eq!(moving.unwrap()["migration"]["settings"]["max_downtime_ms"], 1);
    let set = hosts.run("a", "migration set a-1 --max-downtime 2ms --time-limit none");
    assert!(set.stdout.contains("downtime 2.0 ms"), "{set:?}");
    assert!(set.stdout.contains("no time limit"), "{set:?}");
    let cancelled = hosts.run("a", "migration cancel a-1");
    assert_eq!(cancelled.code, Some(0), "{cancelled:?}");
    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert_eq!(last["report"]["outcome"], "cancelled");
    assert_eq!(watch.wait().unwrap().code(), Some(5));
    assert_eq!(hosts.json("a", "vm show web1")["state"], "running");
    let over = hosts.run("a", "migration cancel a-1");
    assert!(over.stderr.contains("the migration is over"), "{over:?}");
}

#[test]
fn ctrl_c_without_a_terminal_calls_the_migration_off() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", SWEEP);
    let mut child =
        hosts.ask("a", "migrate web1 b --bandwidth 1MB/s --max-downtime 1ms").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.by_ref().find(|line| line.as_ref().unwrap().contains("first pass")).unwrap().unwrap();
    let pid = child.id().to_string();
    assert!(Process::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(5), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("cancelling")), "{rest:?}");
}

#[test]
fn a_command_follows_a_migration_through_the_end_of_the_daemon() {
    let mut hosts = Hosts::start();
    hosts.guest("a", "web1", IDLE);
    let mut child = hosts.ask("a", "migrate web1 b --bandwidth 4MB/s").spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines.by_ref().find(|line| line.as_ref().unwrap().contains("first pass")).unwrap().unwrap();
    hosts.kill("a");
    hosts.daemon("a", &[]);
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert_eq!(hosts.json("b", "vm show web1")["state"], "running");
}

#[test]
fn policies_are_told_and_added() {
    let hosts = Hosts::start();
    assert!(hosts.run("a", "policy list").stdout.contains("suspend-if-needed"));
    let set = hosts.run("a", "policy set night --like gentle --time-limit none");
    assert!(set.stdout.contains("throttle up to 50 %"), "{set:?}");
    assert!(set.stdout.contains("no time limit"), "{set:?}");
    assert_eq!(hosts.json("a", "policy show night")["settings"]["time_limit_ms"], Value::Null);
    let refused = hosts.run("a", "policy set gentle --max-throttle 99%");
    assert!(refused.stderr.contains("comes with Landfall"), "{refused:?}");

    hosts.guest("a", "web1", IDLE);
    let given = hosts.run("a", "vm set web1 --policy night");
    assert_eq!(given.stdout, "web1  migrates by the policy 'night'\n");
    let kept = hosts.run("a", "policy remove night");
    assert!(kept.stderr.contains("give it another first"), "{kept:?}");
    assert_eq!(hosts.json("a", "vm set web1 --policy none")["spec"].get("policy"), None);
    let unknown = hosts.run("a", "vm set web1 --policy day");
    assert!(unknown.stderr.contains("no policy 'day'"), "{unknown:?}");
    let word = hosts.run("a", "policy set none --max-downtime 1s");
    assert!(word.stderr.contains("choose another name"), "{word:?}");
    assert_eq!(hosts.run("a", "policy remove night").stdout, "night  removed\n");
    assert!(hosts.run("a", "policy show night").stderr.contains("no policy 'night'"));
}

#[test]
fn the_node_that_is_meant_is_found_or_named() {
    let hosts = Hosts::start();
    let run = |args: &[&str]| Ended::from(hosts.landfall().args(args).output().unwrap());
    let several = run(&["vm", "list"]);
    assert_eq!(several.code, Some(1));
    assert!(several.last_line().contains("--node NAME"), "{several:?}");
    let nodes = run(&["node", "list", "--node", "b"]);
    assert_eq!(nodes.stdout.matches("ready").count(), 2, "{nodes:?}");
    let address = hosts.json("a", "node list")[1]["address"].as_str().unwrap().to_owned();
    let token = hosts.data("b").join("token");
    let by_address = ["vm", "list", "--node", &address, "--token-file", token.to_str().unwrap()];
    assert_eq!(run(&by_address).code, Some(0));
    let wrong = hosts.path().join("wrong");
    fs::write(&wrong, "0123").unwrap();
    let wrong = run(&["vm", "list", "--node", "b", "--token-file", wrong.to_str().unwrap()]);
    assert!(wrong.stderr.contains("show the node's token"), "{wrong:?}");
    let unknown = run(&["vm", "list", "--node", "c"]);
    assert!(unknown.stderr.contains("no node 'c'"), "{unknown:?}");
}

#[test]
fn what_only_one_kind_of_machine_has_is_refused_for_the_other() {
    let hosts = Hosts::start();
    for flags in ["--verify", "--channels 2", "--encoding lz4", "--on-limit postcopy"] {
        let refused = hosts.run("a", &format!("migrate web1 b {flags}"));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.last_line().contains("leave --"), "{refused:?}");
    }
    let refused = hosts.run("a", "migrate /no/socket tcp:127.0.0.1:1 --detach");
    assert!(refused.last_line().contains("leave --detach out"), "{refused:?}");
    let refused = hosts.run("a", "migrate ./web1 b");
    assert!(refused.stderr.contains("is not the name of a machine"), "{refused:?}");
}

#[test]
fn shells_and_readers_get_what_they_need() {
    let run = |args: &[&str]| Ended::from(landfall().args(args).output().unwrap());
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).stdout;
        assert!(script.contains("auto-converge") && script.contains("adopt"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", folder.path().to_str().unwrap()]).code, Some(0));
    let page = fs::read_to_string(folder.path().join("landfall-migrate.1")).unwrap();
    assert!(page.contains("auto\\-converge"), "{page}");
    assert!(folder.path().join("landfall-vm-adopt.1").exists());
}
