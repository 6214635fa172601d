use super::*;
use crate::error::ErrorClass;

fn session() -> Session {
    Session::new(Version::landfall("1"))
}

fn negotiated() -> Session {
    let mut session = session();
    assert!(matches!(
        session.take(Ok(json!({"execute": "qmp_capabilities"}))),
        Step::Negotiated(Reply { id: None, .. })
    ));
    session
}

fn refusal(step: Step) -> QmpError {
    match step {
        Step::Reply(Reply { outcome: crate::Outcome::Error(error), .. }) => error,
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn it_greets_with_its_version() {
    assert_eq!(session().greeting().qmp.version.package, "landfall 1");
}

#[test]
fn nothing_is_done_before_the_negotiation() {
    for name in ["query-status", "query-version", "stop", "nonsense"] {
        let error = refusal(session().take(Ok(json!({"execute": name}))));
        assert_eq!(error.class, ErrorClass::CommandNotFound);
        assert!(error.desc.contains("qmp_capabilities"));
    }
}

#[test]
fn the_negotiation_happens_once() {
    let error = refusal(negotiated().take(Ok(json!({"execute": "qmp_capabilities"}))));
    assert_eq!(error.class, ErrorClass::CommandNotFound);
}

#[test]
fn a_capability_of_the_protocol_that_is_not_offered_is_refused() {
    let wanted = json!({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}});
    let mut session = session();
    assert!(refusal(session.take(Ok(wanted))).desc.contains("oob"));
    let none = json!({"execute": "qmp_capabilities", "arguments": {"enable": []}});
    assert!(matches!(session.take(Ok(none)), Step::Negotiated(_)));
}

#[test]
fn a_command_goes_to_the_machine_with_its_id() {
    let step = negotiated().take(Ok(json!({"execute": "stop", "id": {"a": 1}})));
    assert_eq!(step, Step::Execute(Command::Stop, Some(json!({"a": 1}))));
}

#[test]
fn the_id_comes_back_with_errors_too() {
    let Step::Reply(reply) = negotiated().take(Ok(json!({"execute": "nonsense", "id": 4}))) else {
        panic!("no reply")
    };
    assert_eq!(reply.id, Some(json!(4)));
}

#[test]
fn it_lists_its_commands_and_version_itself() {
    let answer = |name| match negotiated().take(Ok(json!({"execute": name}))) {
        Step::Reply(Reply { outcome: crate::Outcome::Return(value), .. }) => value,
        other => panic!("{other:?}"),
    };
    let commands = answer("query-commands");
    assert!(commands.as_array().unwrap().contains(&json!({"name": "query-migrate"})));
    assert_eq!(answer("query-version")["package"], "landfall 1");
}

#[test]
fn broken_json_is_answered_and_survived_but_a_flood_is_hung_up_on() {
    let mut session = negotiated();
    let syntax = session.take(Err(FrameError::Syntax("x".into())));
    assert!(refusal(syntax).desc.starts_with("JSON parse error"));
    assert!(matches!(session.take(Err(FrameError::TooLarge(9))), Step::HangUp(_)));
}
