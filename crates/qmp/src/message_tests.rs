use super::*;

fn request(text: &str) -> Result<Request, (QmpError, Option<Value>)> {
    Request::parse(serde_json::from_str(text).unwrap())
}

#[test]
fn a_request_carries_command_arguments_and_id() {
    let parsed = request(r#"{"execute":"migrate","arguments":{"uri":"tcp:h:1"},"id":7}"#).unwrap();
    assert_eq!(parsed.execute, "migrate");
    assert_eq!(parsed.arguments["uri"], "tcp:h:1");
    assert_eq!(parsed.id, Some(7.into()));
}

#[test]
fn what_is_no_request_is_told_so_with_its_id() {
    for (text, desc) in [
        ("[]", "QMP input must be a JSON object"),
        (r#"{"id":1}"#, "QMP input lacks member 'execute'"),
        (r#"{"id":1,"execute":2}"#, "QMP input member 'execute' must be a string"),
        (
            r#"{"id":1,"execute":"x","arguments":[]}"#,
            "QMP input member 'arguments' must be an object",
        ),
        (r#"{"id":1,"execute":"x","more":1}"#, "QMP input member 'more' is unexpected"),
    ] {
        let (error, id) = request(text).unwrap_err();
        assert_eq!(error, QmpError::generic(desc));
        assert_eq!(id, text.contains("id").then(|| 1.into()));
    }
}

#[test]
fn a_reply_has_the_form_of_qemu() {
    let returned = Reply::new(Ok(serde_json::json!({})), Some("a".into()));
    assert_eq!(serde_json::to_string(&returned).unwrap(), r#"{"return":{},"id":"a"}"#);
    let refused = Reply::new(Err(QmpError::command_not_found("no")), None);
    assert_eq!(
        serde_json::to_string(&refused).unwrap(),
        r#"{"error":{"class":"CommandNotFound","desc":"no"}}"#
    );
    for reply in [returned, refused] {
        let text = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), reply);
    }
}

#[test]
fn the_greeting_of_qemu_is_read_and_told_apart_from_ours() {
    let qemu = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7},
        "package": "Debian 1:7.2+dfsg-7+deb12u18"}, "capabilities": ["oob"]}}"#;
    let greeting: Greeting = serde_json::from_str(qemu).unwrap();
    assert_eq!(greeting.qmp.version.qemu, VersionTriple { major: 7, minor: 2, micro: 22 });
    assert!(!greeting.qmp.version.is_landfall());
    assert!(Version::landfall("0.1.0").is_landfall());
}
