//! A node as a service of the host.

use std::io::{BufRead, BufReader};
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
