use std::time::Duration;

use clap::Parser;
use landfall_qmp::{LandfallMigration, ParametersUpdate, RamStats};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    command: MigrationCommand,
}

fn set(flags: &str) -> Result<ParametersUpdate, clap::Error> {
    let words = ["migration", "set", "socket"].into_iter().chain(flags.split_whitespace());
    match Line::try_parse_from(words)?.command {
        MigrationCommand::Set(args) => Ok(args.update()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_is_given_is_changed() {
    let update = set("--max-downtime 500ms --bandwidth 200MB/s").expect("it can be parsed");
    let expected = ParametersUpdate {
        downtime_limit: Some(Duration::from_millis(500)),
        max_bandwidth: Some(200_000_000),
        ..ParametersUpdate::default()
    };
    assert_eq!(update, expected);
}

#[test]
fn limits_can_be_lifted() {
    let update = set("--bandwidth unlimited --time-limit none").expect("it can be parsed");
    assert_eq!(update.max_bandwidth, Some(0));
    assert_eq!(update.time_limit, Some(Duration::ZERO));
}

#[test]
fn nothing_to_change_and_bare_numbers_are_wrong_usage() {
    for flags in ["", "--max-downtime 500", "--bandwidth 200", "--max-throttle 0%"] {
        assert!(set(flags).is_err(), "{flags}");
    }
}

#[test]
fn limits_are_told_in_one_line() {
    let parameters = Parameters { max_bandwidth: 125_000_000, ..Parameters::default() };
    assert_eq!(
        limits_text(&parameters),
        "downtime 300 ms, bandwidth 125 MB/s, throttle 99 %, stall 10 ms, no time limit"
    );
    let parameters = Parameters {
        max_bandwidth: 0,
        time_limit: Duration::from_secs(90),
        on_limit: OnLimit::Switchover,
        ..parameters
    };
    assert!(
        limits_text(&parameters).ends_with("stall 10 ms, switches over after 1 min 30 s"),
        "{}",
        limits_text(&parameters)
    );
}

#[test]
fn a_line_of_the_stream_has_its_units_in_its_keys() {
    let info = MigrationInfo {
        status: MigrationStatus::Active,
        total_time: Some(1500),
        ram: Some(RamStats { transferred: 7, remaining: 5, ..RamStats::default() }),
        landfall: Some(LandfallMigration { throttle: 0.9, ..LandfallMigration::default() }),
        ..MigrationInfo::default()
    };
    let line = watch::line(&info);
    assert_eq!(line["status"], "active");
    assert_eq!(line["elapsed_ms"], 1500);
    assert_eq!((&line["sent_bytes"], &line["remaining_bytes"]), (&json!(7), &json!(5)));
    assert_eq!(line["throttle"], 0.9);
}
