use landfall_qmp::{LandfallMigration, RamStats};
use serde_json::json;

use super::*;

fn info() -> MigrationInfo {
    MigrationInfo {
        ram: Some(RamStats { remaining: 84 << 20, ..RamStats::default() }),
        landfall: Some(LandfallMigration {
            phase: "passes".into(),
            pass: 3,
            throttle: 0.89,
            dirty_rate_bytes_per_second: 1.04e9,
            bandwidth_bytes_per_second: 125e6,
            verdict: Some(json!({"state": "needs_throttle", "text": "it needs a throttle"})),
            ..LandfallMigration::default()
        }),
        ..MigrationInfo::default()
    }
}

#[test]
fn a_line_tells_stage_remaining_both_rates_throttle_and_verdict() {
    assert_eq!(
        View::of(&info()).to_string(),
        "pass 3 · 84 MiB left · dirties 1.04 GB/s, link 125 MB/s · throttle 89 % · it needs a throttle"
    );
}

#[test]
fn where_the_verdict_stands_above_the_line_it_is_left_out_of_it() {
    assert_eq!(
        format!("{:#}", View::of(&info())),
        "pass 3 · 84 MiB left · dirties 1.04 GB/s, link 125 MB/s · throttle 89 %"
    );
}

#[test]
fn before_anything_is_known_the_line_says_so() {
    assert_eq!(View::of(&MigrationInfo::default()).to_string(), "reaching the destination");
}

#[test]
fn news_come_at_once_and_counters_once_a_second() {
    let mut written = Vec::new();
    {
        let mut lines = Lines::new("", |line: &str| written.push(line.to_owned()));
        let began = lines.began;
        let at = |ms| began + Duration::from_millis(ms);
        let mut view = View::of(&info());
        lines.update_at(&view, at(0));
        view.remaining = Bytes(1 << 20);
        lines.update_at(&view, at(500));
        view.pass = 4;
        lines.update_at(&view, at(600));
        view.remaining = Bytes(2 << 20);
        lines.update_at(&view, at(1500));
        lines.update_at(&view, at(1600));
        lines.update_at(&view, at(9000));
    }
    let starts: Vec<_> = written.iter().map(|line| line.split(" left").next().unwrap()).collect();
    assert_eq!(
        starts,
        ["   0.0 s  pass 3 · 84 MiB", "   0.6 s  pass 4 · 1 MiB", "   1.6 s  pass 4 · 2 MiB"]
    );
}
