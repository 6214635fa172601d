use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    settings: SettingsArgs,
}

fn change(flags: &str) -> Result<SettingsChange, CliError> {
    let words = std::iter::once("flags").chain(flags.split_whitespace());
    Flags::parse_from(words).settings.change()
}

#[test]
fn only_what_is_given_is_changed() {
    assert_eq!(change("").unwrap(), SettingsChange::default());
    let flags = "--auto-converge off --max-downtime 1s --max-throttle 50% --on-limit switchover";
    let expected = SettingsChange {
        auto_converge: Some(false),
        max_downtime_ms: Some(1000),
        max_throttle_percent: Some(50),
        on_limit: Some(OnLimit::Switchover),
        ..SettingsChange::default()
    };
    assert_eq!(change(flags).unwrap(), expected);
}

#[test]
fn the_time_limit_can_be_lifted_and_is_never_lifted_by_rounding() {
    assert_eq!(change("--time-limit none").unwrap().time_limit_ms, Some(0));
    assert_eq!(change("--time-limit 10us").unwrap().time_limit_ms, Some(1));
}

#[test]
fn a_node_knows_no_post_copy() {
    assert!(change("--on-limit postcopy").is_err());
}

#[test]
fn settings_are_told_in_one_line() {
    let settings = Settings::default();
    assert_eq!(
        text(&settings),
        "throttle up to 99 %, downtime 300 ms, the node's share of bandwidth, gives up after 15 min"
    );
    let settings = Settings { auto_converge: false, time_limit_ms: None, ..settings };
    let settings = Settings { bandwidth_bytes_per_second: Some(125_000_000), ..settings };
    assert_eq!(
        text(&settings),
        "no auto-converge, downtime 300 ms, bandwidth 125 MB/s, no time limit"
    );
}
