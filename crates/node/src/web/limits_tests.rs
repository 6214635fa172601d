use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn unchanged() -> Limits {
    Limits {
        max_throttle: some("99%"),
        max_downtime: some("300ms"),
        time_limit: some("15min"),
        bandwidth: some(""),
        on_limit: Some(OnLimit::Abort),
        was_max_throttle: some("99%"),
        was_max_downtime: some("300ms"),
        was_time_limit: some("15min"),
        was_bandwidth: some(""),
        was_on_limit: Some(OnLimit::Abort),
    }
}

#[test]
fn what_stands_as_it_was_shown_is_no_change() {
    assert_eq!(unchanged().change().unwrap(), SettingsChange::default());
}

#[test]
fn what_was_written_over_is_changed() {
    let limits = Limits {
        max_throttle: some(" 80 %"),
        max_downtime: some("1.5s"),
        bandwidth: some("125MB/s"),
        on_limit: Some(OnLimit::Switchover),
        ..unchanged()
    };
    let expected = SettingsChange {
        max_throttle_percent: Some(80),
        max_downtime_ms: Some(1500),
        bandwidth_bytes_per_second: Some(125_000_000),
        on_limit: Some(OnLimit::Switchover),
        ..SettingsChange::default()
    };
    assert_eq!(limits.change().unwrap(), expected);
}

#[test]
fn an_emptied_field_sets_no_limit_where_there_may_be_none() {
    let limits = Limits {
        max_throttle: some(""),
        max_downtime: some(" "),
        time_limit: some(""),
        bandwidth: some(""),
        was_bandwidth: some("60MB/s"),
        ..unchanged()
    };
    let change = limits.change().unwrap();
    assert_eq!((change.max_throttle_percent, change.max_downtime_ms), (None, None));
    let settings = Settings { bandwidth_bytes_per_second: Some(60_000_000), ..Settings::default() };
    let settings = settings.with(&change);
    assert_eq!((settings.time_limit_ms, settings.bandwidth_bytes_per_second), (None, None));
}

#[test]
fn what_cannot_be_read_is_said_with_how_to_write_it() {
    let detail = |limits: Limits| limits.change().unwrap_err().detail;
    assert!(detail(Limits { max_downtime: some("300"), ..unchanged() }).contains("no unit"));
    assert!(detail(Limits { max_throttle: some("much"), ..unchanged() }).contains("as in 80%"));
    assert!(detail(Limits { bandwidth: some("125"), ..unchanged() }).contains("125"));
}

#[test]
fn what_is_shown_can_be_read_again() {
    let settings = Settings {
        bandwidth_bytes_per_second: Some(60_000_000),
        time_limit_ms: Some(90_000),
        ..Settings::default()
    };
    let [max_throttle, max_downtime, bandwidth, time_limit] = texts(&settings).map(Some);
    let limits = Limits { max_throttle, max_downtime, time_limit, bandwidth, ..Limits::default() };
    assert_eq!(Settings::default().with(&limits.change().unwrap()), settings);
}

#[test]
fn times_are_shown_as_they_are_written() {
    assert_eq!([900_000, 5000, 300].map(time), ["15min", "5s", "300ms"]);
}
