use super::{Fields, Limits};
use crate::model::{PolicyName, SettingsChange};

#[test]
fn a_box_that_is_not_ticked_switches_auto_converge_off() {
    let sent = |auto_converge: Option<String>| Fields {
        form: Some("1".to_owned()),
        auto_converge,
        ..Fields::default()
    };
    let on = SettingsChange { auto_converge: Some(true), ..SettingsChange::default() };
    assert_eq!(sent(Some("on".to_owned())).settings().unwrap(), on);
    let off = SettingsChange { auto_converge: Some(false), ..SettingsChange::default() };
    assert_eq!(sent(None).settings().unwrap(), off);
}

#[test]
fn a_form_that_was_not_sent_changes_nothing() {
    let limits = Limits { max_downtime: Some("5s".to_owned()), ..Limits::default() };
    let fields = Fields { limits, ..Fields::default() };
    assert_eq!(fields.settings().unwrap(), SettingsChange::default());
}

#[test]
fn all_that_a_browser_sends_is_understood() {
    let sent = "form=1&target=b&policy=swift&auto_converge=on&was_max_throttle=99%25&max_throttle=50%25\
                &was_max_downtime=1s&max_downtime=1s&was_on_limit=abort&on_limit=switchover";
    let uri: axum::http::Uri = format!("/?{sent}").parse().unwrap();
    let axum::extract::Query(fields) = axum::extract::Query::<Fields>::try_from_uri(&uri).unwrap();
    assert_eq!(fields.policy, Some("swift".parse::<PolicyName>().unwrap()));
    let change = fields.settings().unwrap();
    assert_eq!((change.max_throttle_percent, change.max_downtime_ms), (Some(50), None));
    assert_eq!(change.on_limit, Some(crate::model::OnLimit::Switchover));
}
