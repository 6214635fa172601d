//! A guest in doubt on real hosts, and an operator who decides.

use std::process::Command as Process;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::daemon::Hosts;

const SWEEP: &str = "workload = 'sweep'\nworking_set = '16MiB'\nrate = '200MB/s'";
/// Far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `node` says, asked with `words`, once it is as it should be.
fn once(hosts: &Hosts, node: &str, words: &str, is: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shown = hosts.json(node, words);
        if is(&shown) {
            return shown;
        }
        assert!(began.elapsed() < PATIENCE, "{words}: {shown}");
    }
}

#[test]
fn an_operator_decides_where_the_other_host_is_gone_and_it_is_kept_who_did() {
    let mut hosts = Hosts::start();
    hosts.guest("a", "web1", SWEEP);
    let early = hosts.run("a", "vm settle web1 run");
    assert!(early.stderr.contains("'web1' is not in doubt"), "{early:?}");
    hosts.run("a", "migrate web1 b --detach --bandwidth 1MB/s --max-downtime 1ms");
    once(&hosts, "a", "migration show a-1", |it| it["state"] == "moving");
    let moving = hosts.run("a", "vm settle web1 run");
    assert!(moving.stderr.contains("not in doubt, but moving"), "{moving:?}");

    // The other host is gone, and the guest here with it: nobody can know whether it has arrived.
    let pid = hosts.json("a", "vm show web1")["pid"].to_string();
    hosts.kill("b");
    assert!(Process::new("kill").args(["-9", &pid]).status().unwrap().success());
    once(&hosts, "a", "migration show a-1", |it| it["state"] == "in_doubt");
    let mut settle = hosts.ask("a", "vm settle web1 run --note");
    let settled = crate::monitor::Ended::from(settle.arg("b has burnt down").output().unwrap());
    assert_eq!(
        (settled.code, settled.stdout.as_str()),
        (Some(0), "web1  stopped\n"),
        "{settled:?}"
    );

    let shown = hosts.run("a", "migration show a-1");
    for said in ["on this host, since: b has burnt down", "node b does not answer"] {
        assert!(shown.stdout.contains(said), "{shown:?}");
    }
    assert_eq!(hosts.json("a", "migration show a-1")["settlement"]["decision"], "run");
    // It comes back after all, and awaits nothing any more.
    hosts.daemon("b", &[]);
    once(&hosts, "b", "vm show web1", |it| it["state"] == "away");
}
