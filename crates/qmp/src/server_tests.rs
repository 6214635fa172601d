use std::io::{BufRead, BufReader};
use std::sync::mpsc::Sender;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::event::EventKind;

struct Bench {
    server: Option<MonitorServer>,
    events: EventBroadcast,
    directory: TempDir,
}

impl Bench {
    fn new(handler: impl Handler) -> Self {
        let directory = TempDir::new().unwrap();
        let events = EventBroadcast::new();
        let path = directory.path().join("qmp");
        let server =
            MonitorServer::bind(path, Version::landfall("1"), Arc::new(handler), events.clone());
        Self { server: Some(server.unwrap()), events, directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("qmp")
    }

    /// A client that has read the greeting.
    fn client(&self) -> BufReader<UnixStream> {
        let mut client = BufReader::new(UnixStream::connect(self.path()).unwrap());
        assert!(line(&mut client).contains("QMP"));
        client
    }

    fn negotiated(&self) -> BufReader<UnixStream> {
        let mut client = self.client();
        assert_eq!(ask(&mut client, r#"{"execute":"qmp_capabilities"}"#), r#"{"return":{}}"#);
        // A second exchange, so that the subscription that follows the first reply is in place.
        ask(&mut client, r#"{"execute":"query-version"}"#);
        client
    }
}

fn line(client: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn ask(client: &mut BufReader<UnixStream>, request: &str) -> String {
    client.get_mut().write_all(request.as_bytes()).unwrap();
    line(client)
}

fn name_of(command: Command) -> Result<Value, QmpError> {
    Ok(json!(command.name()))
}

#[test]
fn several_clients_are_served_at_once() {
    let bench = Bench::new(name_of);
    let mut clients: Vec<_> = (0..5).map(|_| bench.negotiated()).collect();
    for client in &mut clients {
        assert_eq!(ask(client, r#"{"execute":"stop","id":1}"#), r#"{"return":"stop","id":1}"#);
    }
}

#[test]
fn events_go_to_every_client_that_has_negotiated() {
    let bench = Bench::new(name_of);
    let (mut first, mut second) = (bench.negotiated(), bench.negotiated());
    let mut silent = bench.client();
    bench.events.emit(&EventKind::Stop);
    assert!(line(&mut first).contains(r#""event":"STOP""#));
    assert!(line(&mut second).contains(r#""event":"STOP""#));
    assert_eq!(ask(&mut silent, r#"{"execute":"qmp_capabilities"}"#), r#"{"return":{}}"#);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_delays_nobody() {
    let bench = Bench::new(name_of);
    let deaf = bench.negotiated();
    let long = EventKind::Shutdown { guest: false, reason: "x".repeat(2000) };
    // Returns every time, and once the queue and the socket are full the client is gone.
    while bench.events.audience() > 0 {
        bench.events.emit(&long);
    }
    let mut other = bench.negotiated();
    bench.events.emit(&EventKind::Resume);
    assert!(line(&mut other).contains("RESUME"));
    drop(deaf);
}

#[test]
fn a_socket_that_somebody_listens_on_is_not_taken() {
    let bench = Bench::new(name_of);
    let second = MonitorServer::bind(
        bench.path(),
        Version::landfall("1"),
        Arc::new(name_of),
        EventBroadcast::new(),
    );
    assert!(matches!(second, Err(BindError::InUse(_))));
    bench.negotiated();
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("qmp");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let bound = MonitorServer::bind(
        &path,
        Version::landfall("1"),
        Arc::new(name_of),
        EventBroadcast::new(),
    );
    assert!(UnixStream::connect(bound.unwrap().path()).is_ok());
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    let bound = MonitorServer::bind(
        &path,
        Version::landfall("1"),
        Arc::new(name_of),
        EventBroadcast::new(),
    );
    assert!(matches!(bound, Err(BindError::NotASocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn the_socket_goes_with_the_server_unless_it_is_anothers() {
    let mut bench = Bench::new(name_of);
    drop(bench.server.take());
    assert!(!bench.path().exists());

    let mut bench = Bench::new(name_of);
    fs::remove_file(bench.path()).unwrap();
    let _another = UnixListener::bind(bench.path()).unwrap();
    drop(bench.server.take());
    assert!(bench.path().exists());
}

#[test]
fn only_the_owner_may_reach_the_socket() {
    let bench = Bench::new(name_of);
    assert_eq!(fs::metadata(bench.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_reply_to_quit_arrives_though_the_server_is_dropped_at_once() {
    let (quit, quitting) = sync_channel(1);
    let mut bench = Bench::new(move |command| {
        if command == Command::Quit {
            quit.send(()).unwrap();
        }
        name_of(command)
    });
    let mut client = bench.negotiated();
    client.get_mut().write_all(br#"{"execute":"quit"}"#).unwrap();
    quitting.recv().unwrap();
    drop(bench.server.take());
    assert_eq!(line(&mut client), r#"{"return":"quit"}"#);
    assert_eq!(line(&mut client), "");
}

#[test]
fn a_server_dropped_by_its_own_handler_does_not_wait_for_itself() {
    let slot: Arc<Mutex<Option<MonitorServer>>> = Arc::default();
    let held = Arc::clone(&slot);
    let (done, finished): (Sender<()>, _) = std::sync::mpsc::channel();
    let done = Mutex::new(done);
    let mut bench = Bench::new(move |command| {
        drop(held.lock().unwrap().take());
        done.lock().unwrap().send(()).unwrap();
        name_of(command)
    });
    *slot.lock().unwrap() = bench.server.take();
    let mut client = bench.negotiated();
    assert_eq!(ask(&mut client, r#"{"execute":"stop"}"#), r#"{"return":"stop"}"#);
    finished.recv().unwrap();
}

#[test]
fn a_flood_is_answered_and_hung_up_on() {
    let bench = Bench::new(name_of);
    let mut client = bench.negotiated();
    let flood = vec![b'['; MOST_REQUEST_BYTES + 1];
    client.get_mut().write_all(&flood).unwrap();
    assert!(line(&mut client).contains("larger than"));
    assert_eq!(line(&mut client), "");
}
