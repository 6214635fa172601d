//! Machines that a node has started may do what a machine needs, and open what belongs to them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::daemon::Hosts;
use crate::monitor::Ended;

const SWEEP: &str = "workload = 'sweep'\nworking_set = '8MiB'\nrate = '20MB/s'";

/// A field of the status of each thread of a process.
fn of_each_thread(pid: &Value, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |path: PathBuf| {
        // A thread that has ended meanwhile is none.
        let status = fs::read_to_string(path.join("status")).ok()?;
        status.lines().find_map(|line| Some(line.strip_prefix(field)?.trim().to_owned()))
    };
    threads.filter_map(|thread| read(thread.unwrap().path())).collect()
}

fn snapshot(hosts: &Hosts, monitor: &Value, file: &Path) -> Ended {
    let mut process = hosts.landfall();
    process.args(["vm", "snapshot", monitor.as_str().unwrap()]).arg(file);
    Ended::from(process.output().unwrap())
}

/// Sees that the machine, as its node shows it, is confined, on this kernel as far as it goes.
fn assert_confined(hosts: &Hosts, node: &str, vm: &Value) {
    let pid = &vm["pid"];
    for (field, confined) in [("Seccomp:", "2"), ("NoNewPrivs:", "1")] {
        let values = of_each_thread(pid, field);
        assert!(!values.is_empty() && values.iter().all(|it| it == confined), "{field} {values:?}");
    }
    let own = hosts.data(node).join("machines/web1");
    let log = fs::read_to_string(own.join("log")).unwrap();
    let outside = hosts.path().join(format!("outside-{node}"));
    if log.contains("this kernel has no Landlock") {
        eprintln!("not tried: this kernel has no Landlock");
    } else {
        assert!(log.contains("opens only what --allow and other options name"), "{log}");
        let refused = snapshot(hosts, &vm["monitor"], &outside);
        assert!(refused.stderr.contains("Permission denied"), "{refused:?}");
        assert!(!outside.exists());
    }
    let inside = snapshot(hosts, &vm["monitor"], &own.join("snapshot"));
    assert_eq!(inside.code, Some(0), "{inside:?}");
}

#[test]
fn machines_of_a_node_are_confined_and_move_all_the_same() {
    let hosts = Hosts::certified();
    hosts.guest("a", "web1", SWEEP);
    assert_confined(&hosts, "a", &hosts.json("a", "vm show web1"));
    let moved = hosts.run("a", "migrate web1 b");
    assert_eq!(moved.code, Some(0), "{moved:?}");
    assert_confined(&hosts, "b", &hosts.json("b", "vm show web1"));
    assert_eq!(hosts.run("b", "migrate web1 a").code, Some(0));
    assert_eq!(hosts.json("a", "vm show web1")["state"], "running");
}

#[test]
fn what_machines_are_to_be_allowed_must_be_there() {
    let hosts = Hosts::start();
    let words = "node --name c --insecure --listen 127.0.0.1:0 --data c --allow nowhere";
    let mut process = hosts.landfall();
    process.args(words.split(' ')).current_dir(hosts.path());
    let ended = Ended::from(process.output().unwrap());
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("nowhere cannot be allowed to machines"), "{ended:?}");
}
