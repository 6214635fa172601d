//! A node that is emptied, by a command.

use serde_json::Value;

use crate::daemon::Hosts;

const SMALL: &str = "workload = 'sweep'\nworking_set = '2MiB'\nrate = '1MB/s'";
const GUESTS: usize = 20;

#[test]
fn twenty_guests_leave_two_at_a_time_and_all_arrive() {
    let hosts = Hosts::start();
    for number in 0..GUESTS {
        hosts.guest("a", &format!("vm{number}"), SMALL);
    }
    let drained = hosts.run("a", "node drain a -o json");
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let drain: Value = serde_json::from_str(&drained.stdout).unwrap();
    let items = drain["items"].as_array().unwrap();
    assert_eq!(items.len(), GUESTS);
    assert!(items.iter().all(|item| item["state"] == "left" && item["target"] == "b"), "{items:?}");
    let there = hosts.json("b", "vm list");
    let running = there.as_array().unwrap().iter().filter(|vm| vm["state"] == "running");
    assert_eq!(running.count(), GUESTS);
    // Between any two moments of its way, each guest had at most one other beside it.
    let migrations = hosts.json("a", "migration list");
    let spans: Vec<_> = migrations.as_array().unwrap().iter().map(span).collect();
    assert_eq!(spans.len(), GUESTS);
    for (began, _) in &spans {
        let beside = spans.iter().filter(|(from, until)| from <= began && began < until).count();
        assert!(beside <= 2, "{beside} at a time: {spans:?}");
    }
}

fn span(migration: &Value) -> (u64, u64) {
    (migration["began_ms"].as_u64().unwrap(), migration["ended_ms"].as_u64().unwrap())
}

#[test]
fn what_cannot_leave_stays_with_its_reason_and_an_emptied_node_takes_none() {
    let hosts = Hosts::start();
    hosts.guest("a", "web1", SMALL);
    hosts.guest("a", "web2", SMALL);
    hosts.guest("b", "web2", SMALL);
    let drained = hosts.run("a", "node drain a");
    assert_eq!(drained.code, Some(3), "{drained:?}");
    assert!(drained.stderr.contains("web1: has arrived at b"), "{drained:?}");
    assert!(drained.stderr.contains("web2: stays"), "{drained:?}");
    assert!(drained.stdout.contains("of its own"), "{drained:?}");
    assert_eq!(hosts.json("a", "vm show web2")["state"], "running");

    assert!(hosts.run("b", "node list").stdout.contains("draining"));
    let back = hosts.run("b", "migrate web1 a");
    assert_eq!(back.code, Some(4), "{back:?}");
    assert!(back.stderr.contains("is being emptied"), "{back:?}");
    assert_eq!(hosts.run("a", "node undrain a").code, Some(0));
    assert_eq!(hosts.run("b", "migrate web1 a").code, Some(0));
}
