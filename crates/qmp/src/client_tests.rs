use std::os::unix::net::UnixListener;
use std::sync::{Arc, Barrier};

use tempfile::TempDir;

use super::*;
use crate::event::EventKind;
use crate::migration::MigrationStatus;
use crate::server::MonitorServer;
use crate::status::{RunState, StatusInfo};
use crate::subscribers::EventBroadcast;

const SOON: Duration = Duration::from_secs(20);
const BRIEF: Duration = Duration::from_millis(50);

fn answer(command: Command) -> Result<Value, QmpError> {
    match command {
        Command::QueryStatus => Ok(json!(StatusInfo::new(RunState::Running))),
        Command::Stop => Err(QmpError::generic("it is stopped already")),
        _ => Ok(json!({})),
    }
}

struct Bench {
    _server: MonitorServer,
    events: EventBroadcast,
    client: Client,
    _directory: TempDir,
}

fn bench() -> Bench {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("qmp");
    let events = EventBroadcast::new();
    let version = Version::landfall("1");
    let server = MonitorServer::bind(&path, version, Arc::new(answer), events.clone()).unwrap();
    let mut client = Client::connect(&path, SOON).unwrap();
    // Events follow once the negotiation has been answered; a second command is answered later still.
    client.execute(&Command::QueryStatus).unwrap();
    Bench { _server: server, events, client, _directory: directory }
}

/// A monitor that plays what it is told to, and then hangs up.
fn scripted(script: impl FnOnce(UnixStream) + Send + 'static) -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("qmp");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || script(listener.accept().unwrap().0));
    (directory, path)
}

const GREETING: &[u8] = br#"{"QMP":{"version":{"qemu":{"major":7,"minor":2,"micro":0},"package":""},"capabilities":[]}}"#;

#[test]
fn a_query_gives_its_own_type() {
    let status: StatusInfo = bench().client.query(&Command::QueryStatus).unwrap();
    assert!(status.running);
}

#[test]
fn a_refusal_names_the_command_and_keeps_what_the_machine_said() {
    let error = bench().client.execute(&Command::Stop).unwrap_err();
    assert_eq!(error.to_string(), "the machine refused 'stop'");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "it is stopped already");
}

#[test]
fn events_are_kept_while_a_reply_is_waited_for() {
    let mut bench = bench();
    bench.events.emit(&EventKind::Migration { status: MigrationStatus::Setup });
    bench.events.emit(&EventKind::MigrationPass { pass: 1 });
    bench.client.execute(&Command::QueryStatus).unwrap();
    let names: Vec<_> = bench.client.events().unwrap().into_iter().map(|e| e.event).collect();
    assert_eq!(names, ["MIGRATION", "MIGRATION_PASS"]);
    assert!(bench.client.events().unwrap().is_empty());
}

#[test]
fn waiting_for_an_event_ends_with_it_or_with_the_deadline() {
    let mut bench = bench();
    assert_eq!(bench.client.wait_event(Instant::now() + BRIEF).unwrap(), None);
    bench.events.emit(&EventKind::Stop);
    let event = bench.client.wait_event(Instant::now() + SOON).unwrap().unwrap();
    assert_eq!(event.kind(), Some(EventKind::Stop));
}

#[test]
fn nobody_there_is_told_apart_from_nothing_there() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("qmp");
    assert!(matches!(Client::connect(&path, SOON), Err(ClientError::NoSocket(_))));
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(Client::connect(&path, SOON), Err(ClientError::NobodyListens(_))));
}

#[test]
fn a_monitor_that_another_client_holds_is_said_to_be_busy() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("qmp");
    // As QEMU does: the connection is in the queue, but nobody takes it up.
    let _listener = UnixListener::bind(&path).unwrap();
    let error = Client::connect(&path, BRIEF).unwrap_err();
    assert!(matches!(error, ClientError::Busy { .. }));
    assert!(error.to_string().contains("another"));
}

#[test]
fn what_does_not_speak_qmp_is_told_so() {
    for greeting in [&b"SSH-2.0\n"[..], b"{\"hello\":1}"] {
        let (_directory, path) = scripted(move |mut stream| {
            stream.write_all(greeting).unwrap();
            drop(stream.read(&mut [0; 64]));
        });
        assert!(matches!(Client::connect(&path, SOON), Err(ClientError::NotQmp { .. })));
    }
}

#[test]
fn a_machine_that_dies_is_told_so() {
    let (_directory, path) = scripted(|mut stream| {
        stream.write_all(GREETING).unwrap();
        stream.write_all(br#"{"return":{},"id":1}"#).unwrap();
        drop(stream.read(&mut [0; 64]));
    });
    let mut client = Client::connect(&path, SOON).unwrap();
    assert!(matches!(client.execute(&Command::Stop), Err(ClientError::Closed)));
}

#[test]
fn a_late_reply_is_not_taken_for_the_next_one() {
    let asked = Arc::new(Barrier::new(2));
    let given_up = Arc::clone(&asked);
    let (_directory, path) = scripted(move |mut stream| {
        stream.write_all(GREETING).unwrap();
        stream.write_all(br#"{"return":{},"id":1}"#).unwrap();
        given_up.wait();
        stream.write_all(br#"{"return":"late","id":2}{"return":"right","id":3}"#).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let mut client = Client::connect(&path, Duration::from_millis(500)).unwrap();
    assert!(matches!(client.execute(&Command::Stop), Err(ClientError::Silent { .. })));
    asked.wait();
    assert_eq!(client.execute(&Command::Cont).unwrap(), json!("right"));
}
