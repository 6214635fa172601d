use super::{Fields, milliseconds_in};
use crate::model::{OnLimit, SettingsChange};

fn sent() -> Fields {
    Fields {
        form: Some("1".to_owned()),
        auto_converge: Some("on".to_owned()),
        max_throttle: Some("99%".to_owned()),
        max_downtime: Some("300ms".to_owned()),
        time_limit: Some("15min".to_owned()),
        on_limit: Some(OnLimit::Abort),
        was_max_throttle: Some("99%".to_owned()),
        was_max_downtime: Some("300ms".to_owned()),
        was_time_limit: Some("15min".to_owned()),
        was_on_limit: Some(OnLimit::Abort),
        ..Fields::default()
    }
}

#[test]
fn what_stands_as_the_policy_had_it_follows_the_policy() {
    let expected = SettingsChange { auto_converge: Some(true), ..SettingsChange::default() };
    assert_eq!(sent().settings().unwrap(), expected);
}

#[test]
fn what_was_changed_is_otherwise_than_the_policy_says() {
    let fields = Fields {
        auto_converge: None,
        max_throttle: Some(" 80 %".to_owned()),
        max_downtime: Some("1.5s".to_owned()),
        on_limit: Some(OnLimit::Switchover),
        ..sent()
    };
    let expected = SettingsChange {
        auto_converge: Some(false),
        max_throttle_percent: Some(80),
        max_downtime_ms: Some(1500),
        on_limit: Some(OnLimit::Switchover),
        ..SettingsChange::default()
    };
    assert_eq!(fields.settings().unwrap(), expected);
}

#[test]
fn a_time_without_its_unit_is_said_to_have_none() {
    let fields = Fields { max_downtime: Some("300".to_owned()), ..sent() };
    assert!(fields.settings().unwrap_err().detail.contains("no unit"));
}

#[test]
fn a_form_that_was_not_sent_changes_nothing() {
    assert_eq!(Fields::default().settings().unwrap(), SettingsChange::default());
}

#[test]
fn times_are_shown_as_they_are_written() {
    assert_eq!([900_000, 5000, 300].map(milliseconds_in), ["15min", "5s", "300ms"]);
}
