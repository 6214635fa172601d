//! `landfall demo` with real processes and synthetic guests, small enough for every test run.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::monitor::{Ended, landfall};

const SMALL: &[&str] = &[
    "demo",
    "--machine",
    "synthetic",
    "--memory",
    "64MiB",
    "--working-set",
    "16MiB",
    "--bandwidth",
    "30MB/s",
    "--time-limit",
    "2s",
];

fn demo(args: &[&str]) -> Ended {
    Ended::from(landfall().args(SMALL).args(args).output().unwrap())
}

#[test]
fn it_shows_that_auto_converge_makes_the_guest_arrive() {
    let directory = TempDir::new().unwrap();
    let page = directory.path().join("report.html");
    let ended = demo(&["-o", "json", "--report", page.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let reports: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let outcomes: Vec<_> = reports.iter().map(|report| &report["outcome"]).collect();
    assert_eq!(outcomes, ["gave_up", "completed"]);
    for report in &reports {
        assert_eq!(report["machine"], "synthetic");
        assert_eq!(report["integrity"], "ok");
    }
    assert!(ended.stderr.contains("a synthetic guest"), "{ended:?}");
    assert!(fs::read_to_string(page).unwrap().contains("<svg"));
}

#[test]
fn alone_a_run_that_does_not_arrive_says_so_by_its_exit_code() {
    let ended = demo(&["--auto-converge", "off"]);
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert!(ended.last_line().contains("--auto-converge on"), "{ended:?}");
}
