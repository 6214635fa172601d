//! A node as a service of the host.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::monitor::landfall;

#[test]
fn a_service_manager_hears_when_it_answers_and_its_log_has_no_token() {
    let folder = TempDir::new().unwrap();
    let (manager, file) = (folder.path().join("manager"), folder.path().join("landfall.toml"));
    let socket = UnixDatagram::bind(&manager).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    std::fs::write(&file, "name = 'a'\nlisten = '127.0.0.1:0'\ndata = 'data'\ninsecure = true\n")
        .unwrap();
    let mut process = landfall();
    process.args(["node", "--config"]).arg(&file).stdout(Stdio::piped());
    process.env("XDG_RUNTIME_DIR", folder.path()).env("NOTIFY_SOCKET", &manager);
    let mut daemon = process.spawn().unwrap();

    let mut heard = [0; 64];
    let length = socket.recv(&mut heard).unwrap();
    let heard = String::from_utf8_lossy(&heard[..length]);
    assert_eq!(heard.trim(), "READY=1");

    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let token = std::fs::read_to_string(folder.path().join("data/token")).unwrap();
    assert!(
        line.contains("answers at http://127.0.0.1:") && !line.contains(token.trim()),
        "{line}"
    );

    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// What a daemon writes to its log while a drain begins and is over, where the journal reads the log and where it does not.
fn logged(by_the_journal: bool) -> String {
    let folder = TempDir::new().unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let about = log.metadata().unwrap();
    let stream = if by_the_journal { about.ino() } else { 0 };
    let mut process = landfall();
    process.args(["node", "--name", "a", "--insecure", "--listen", "127.0.0.1:0", "--data"]);
    process.arg(folder.path().join("data")).env("XDG_RUNTIME_DIR", folder.path());
    process.env("JOURNAL_STREAM", format!("{}:{stream}", about.dev())).stderr(log);
    let mut daemon = process.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut drain = landfall();
    drain.args(["node", "drain", "a"]).env("XDG_RUNTIME_DIR", folder.path());
    let ended = drain.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    std::fs::read_to_string(folder.path().join("log")).unwrap()
}

#[test]
fn the_journal_is_told_how_grave_a_line_is_and_a_file_when_it_was_written() {
    let journal = logged(true);
    assert!(journal.contains("<6>a is being emptied: 0 machines are to leave\n"), "{journal}");
    assert!(
        journal.contains("<6>the node is emptied: 0 machines have left, 0 have stayed\n"),
        "{journal}"
    );
    let file = logged(false);
    assert!(file.contains("INFO") && file.contains("a is being emptied"), "{file}");
    assert!(file.starts_with("20") && !file.contains("<6>"), "{file}");
    assert!(!file.contains('\u{1b}'), "no colours where nobody sees them: {file}");
}
