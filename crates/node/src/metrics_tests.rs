use openmetrics_parser::openmetrics::parse_openmetrics;
use serde_json::json;

use super::*;
use crate::summary::tests_report::{completed, gave_up};

fn migration(number: u32, source: &str, state: MigrationState) -> MigrationView {
    let view = json!({
        "id": format!("{source}-{number}"), "vm": "web", "source": source, "target": "c",
        "policy": "balanced", "settings": {}, "state": state, "requested_ms": 1,
    });
    serde_json::from_value(view).unwrap()
}

fn vm(name: &str, state: VmState, throttle: f64) -> VmView {
    let view = json!({
        "spec": { "name": name, "native": { "memory": "512MiB" } }, "node": "a", "state": state,
        "ownership": { "epoch": 1, "state": "here", "by": null },
        "throttle": throttle, "monitor": "/run/web.sock",
    });
    serde_json::from_value(view).unwrap()
}

fn told(vms: &[VmView], migrations: &[MigrationView]) -> String {
    let text = text(&"a".parse().unwrap(), vms, migrations).unwrap();
    parse_openmetrics(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    text
}

fn assert_says(text: &str, line: &str) {
    assert!(text.lines().any(|said| said == line), "'{line}' is not in {text}");
}

#[test]
fn a_node_without_anything_tells_zeros() {
    let text = told(&[], &[]);
    assert_says(&text, "landfall_vms{state=\"running\"} 0");
    assert_says(&text, "landfall_migrations_total{result=\"completed\"} 0");
    assert_says(&text, "landfall_migration_downtime_seconds_count 0");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn migrations_are_counted_by_their_result_and_by_their_source() {
    let arrived = |number, source| MigrationView {
        report: Some(completed()),
        ..migration(number, source, MigrationState::Completed)
    };
    let given_up =
        MigrationView { report: Some(gave_up()), ..migration(3, "a", MigrationState::GaveUp) };
    let queued = migration(4, "a", MigrationState::Queued);
    let text = told(&[], &[arrived(1, "a"), arrived(2, "b"), given_up, queued]);
    assert_says(&text, "landfall_migrations_total{result=\"completed\"} 1");
    assert_says(&text, "landfall_migrations_total{result=\"gave_up\"} 1");
    assert_says(&text, "landfall_migrations_under_way{state=\"queued\"} 1");
    assert_says(&text, "landfall_migration_duration_seconds_sum 2.31");
    assert_says(&text, "landfall_migration_downtime_seconds_bucket{le=\"0.2\"} 0");
    assert_says(&text, "landfall_migration_downtime_seconds_bucket{le=\"0.3\"} 1");
    assert_says(&text, "landfall_migrations_stolen_seconds_total 0.914");
}

#[test]
fn a_guest_on_its_way_is_seen_with_its_throttle() {
    let progress = Progress {
        remaining_bytes: 4096,
        sent_bytes: 8192,
        bandwidth_bytes_per_second: 2048.0,
        throttle: 0.89,
        pass: 2,
        ..Progress::default()
    };
    let moving =
        MigrationView { progress: Some(progress), ..migration(1, "a", MigrationState::Moving) };
    let text = told(&[], &[moving]);
    assert_says(&text, "landfall_migration_remaining_bytes{vm=\"web\",target=\"c\"} 4096.0");
    assert_says(&text, "landfall_migration_throttle_ratio{vm=\"web\",target=\"c\"} 0.89");
    assert_says(&text, "landfall_migration_transferred_bytes_total{vm=\"web\",target=\"c\"} 8192");
    assert_says(&text, "landfall_migration_expected_downtime_seconds{vm=\"web\",target=\"c\"} 2.0");
}

#[test]
fn a_guest_that_is_held_back_for_nothing_stands_out() {
    let held = vm("held", VmState::Running, 0.5);
    let mut moving = vm("moving", VmState::Running, 0.5);
    moving.migration = Some(migration(1, "a", MigrationState::Moving));
    let text = told(&[held, moving, vm("off", VmState::Stopped, 0.0)], &[]);
    assert_says(&text, "landfall_vm_throttle_stuck{vm=\"held\"} 1");
    assert_says(&text, "landfall_vm_throttle_stuck{vm=\"moving\"} 0");
    assert_says(&text, "landfall_vms{state=\"stopped\"} 1");
    assert!(!text.contains("vm=\"off\""), "{text}");
}

/// Every name of a metric in these queries.
fn names(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => fields.values().for_each(|field| names(field, found)),
        serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        serde_json::Value::String(query) => {
            let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            found.extend(words.filter(|it| it.starts_with("landfall_")).map(str::to_owned));
        }
        _ => {}
    }
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_told() {
    let dashboard = include_str!("../../../docs/grafana.json");
    let mut asked = Vec::new();
    names(&serde_json::from_str(dashboard).unwrap(), &mut asked);
    assert!(asked.len() > 15, "{asked:?}");
    let progress = Some(Progress::default());
    let moving = MigrationView { progress, ..migration(1, "a", MigrationState::Moving) };
    let text = told(&[vm("web", VmState::Running, 0.0)], &[moving]);
    for name in asked {
        let is_it = |line: &str| line.split(['{', ' ']).next() == Some(name.as_str());
        assert!(text.lines().any(is_it), "{name} is not told:\n{text}");
    }
}
