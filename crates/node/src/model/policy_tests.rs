use super::{OnLimit, Policy, Settings, SettingsChange};

#[test]
fn every_built_in_policy_can_be_kept_and_says_what_it_is() {
    for policy in Policy::built_in() {
        assert_eq!(policy.settings.check(), Ok(()), "{}", policy.name);
        assert!(policy.sentence.ends_with('.'), "{}", policy.name);
        assert!(policy.settings.auto_converge, "on unless somebody switches it off");
    }
}

#[test]
fn a_change_leaves_alone_what_it_does_not_name() {
    let before = Settings { bandwidth_bytes_per_second: Some(7), ..Settings::default() };
    let change = SettingsChange { max_throttle_percent: Some(80), ..SettingsChange::default() };
    assert_eq!(before.with(&change), Settings { max_throttle_percent: 80, ..before });
}

#[test]
fn a_change_to_nought_lifts_a_limit() {
    let change = SettingsChange { time_limit_ms: Some(0), ..SettingsChange::default() };
    assert_eq!(Settings::default().with(&change).time_limit_ms, None);
}

#[test]
fn what_is_out_of_range_is_refused() {
    let usual = Settings::default();
    for wrong in [
        Settings { max_throttle_percent: 0, ..usual },
        Settings { max_throttle_percent: 100, ..usual },
        Settings { max_downtime_ms: 0, ..usual },
        Settings { time_limit_ms: Some(0), ..usual },
        Settings { bandwidth_bytes_per_second: Some(0), ..usual },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn settings_are_read_with_everything_left_out() {
    let read: Settings = serde_json::from_str(r#"{"on_limit":"switchover"}"#).unwrap();
    assert_eq!(read, Settings { on_limit: OnLimit::Switchover, ..Settings::default() });
    assert!(
        serde_json::from_str::<Settings>(r#"{"max_downtime":3}"#).is_err(),
        "a key without unit"
    );
}
