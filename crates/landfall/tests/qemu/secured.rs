//! QEMUs of nodes that have certificates: nobody on the way sees their guests, and only those two speak with each other.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use landfall_identity::{Authority, Request};
use landfall_node::machines::{Destination, Followed, Follower, LocalMachines, Machines, Wish};
use landfall_node::model::{Progress, Settings, VmRecord, VmSpec};
use landfall_node::ownership::Ownership;
use landfall_qmp::{Client, Command as Qmp, StatusInfo};
use serde_json::{Value, json};

use crate::daemon::Hosts;
use crate::machine::{PATIENCE, Qemu};
use crate::probe::Guest;

const LIGHT: &str = "sweep,working-set=16MiB,rate=20MB/s";
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// How a migration of QEMU's begins where it is not encrypted.
const MAGIC: &[u8] = b"QEVM";

/// What went through a proxy from the source to the destination: how it began.
type Heard = Arc<Mutex<Vec<u8>>>;

/// Stands between two QEMUs and listens; gives where, and what was heard.
fn listen_in(between: &str) -> (String, Heard) {
    let to = between.strip_prefix("tcp:").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("tcp:{}", listener.local_addr().unwrap());
    let heard = Heard::default();
    let writing = Arc::clone(&heard);
    thread::spawn(move || {
        let (mut source, _) = listener.accept().unwrap();
        let mut destination = TcpStream::connect(to).unwrap();
        let (mut back, mut source_back) =
            (destination.try_clone().unwrap(), source.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut source_back);
            // QEMU waits for the other side to say something, and meanwhile for nobody else.
            let _ = source_back.shutdown(Shutdown::Both);
        });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(count @ 1..) = source.read(&mut buffer) {
            writing.lock().unwrap().extend_from_slice(&buffer[..count.min(4096)]);
            if destination.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = destination.shutdown(Shutdown::Both);
        let _ = source.shutdown(Shutdown::Both);
    });
    (uri, heard)
}

/// Somebody who watches and wants nothing.
struct Watching;

impl Follower for Watching {
    fn progress(&mut self, _: Progress) {}

    fn wish(&mut self) -> Wish {
        Wish::GoOn
    }
}

/// A QEMU with a guest, and where others would find it.
struct Source {
    folder: tempfile::TempDir,
    guest: Guest,
    qemu: Qemu,
    spec: VmSpec,
}

impl Source {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let guest = Guest::write(folder.path(), LIGHT);
        let qemu = Qemu::start(folder.path(), "source", guest.machine(), None);
        guest.wait_until_at_work(qemu.id(), PATIENCE);
        let line = std::fs::read(format!("/proc/{}/cmdline", qemu.id())).unwrap();
        let words: Vec<_> = line.split(|byte| *byte == 0).filter(|it| !it.is_empty()).collect();
        // One monitor is the test's own, which a second QEMU has no use for.
        let words = words.iter().map(|word| String::from_utf8_lossy(word).into_owned());
        let mut command: Vec<String> = words.collect();
        let held = command.iter().position(|word| word.contains("/source,")).unwrap();
        command.drain(held - 1..=held);
        let spec =
            json!({ "name": "db1", "qemu": { "socket": qemu.for_pilot, "command": command } });
        let spec = serde_json::from_value(spec).unwrap();
        Self { folder, guest, qemu, spec }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn record(&self, monitor: &Path) -> VmRecord {
        VmRecord {
            spec: self.spec.clone(),
            ownership: Ownership::first(),
            process: None,
            monitor: monitor.to_owned(),
            trouble: None,
            settlement: None,
        }
    }

    /// Identities of one authority for hosts called `a` and `b`.
    fn identities(&self) -> [PathBuf; 2] {
        let authority = Authority::create(&self.at("ca"), "ca", YEAR).unwrap();
        ["a", "b"].map(|name| {
            let request = Request { name: name.to_owned(), addresses: Vec::new(), valid: YEAR };
            let at = self.at(&format!("identity-{name}"));
            authority.issue(&request, &at).unwrap();
            at
        })
    }

    /// Moves the guest from a machine of `here` to one of `there`, which is believed to be `name`, through somebody who listens.
    fn send(&mut self, here: &LocalMachines, there: &LocalMachines, name: &str) -> Sent {
        let destination = self.record(&there.monitor(&self.spec.name));
        let (process, uri) = there.expect(&destination, "127.0.0.1").unwrap();
        let (uri, heard) = listen_in(&uri);
        let node = name.parse().unwrap();
        let to = Some(Destination { uri: &uri, node: &node });
        let settings: Settings = serde_json::from_value(json!({
            "auto_converge": true, "max_throttle_percent": 99, "max_downtime_ms": 300, "time_limit_ms": null,
            "on_limit": "abort", "bandwidth_bytes_per_second": null,
        }))
        .unwrap();
        let source = self.record(&self.qemu.for_pilot);
        let found = self.qemu.settings();
        let followed = here.send(&source, to, &settings, &mut Watching).unwrap();
        assert_eq!(self.qemu.settings(), found, "QEMU is left as it was found");
        let Followed::Over(report) = followed else { panic!("{followed:?}") };
        let report = serde_json::to_value(report).unwrap();
        Sent { report, heard: heard.lock().unwrap().clone(), process, destination }
    }
}

struct Sent {
    report: Value,
    heard: Vec<u8>,
    process: landfall_node::process::ProcessId,
    destination: VmRecord,
}

fn contains(heard: &[u8], what: &[u8]) -> bool {
    heard.windows(what.len()).any(|window| window == what)
}

/// Returns when the guest runs at its destination: a source has done its part when everything has left it.
fn wait_until_it_runs(monitor: &mut Client) {
    if monitor.query::<StatusInfo>(&Qmp::QueryStatus).unwrap().running {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    while monitor.wait_event(deadline).unwrap().expect("the guest does not run").event != "RESUME" {
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn who_listens_in_hears_nothing_where_nodes_have_certificates_and_everything_where_not() {
    for certified in [false, true] {
        let mut source = Source::start();
        let identities = source.identities();
        let [here, there] = [0, 1].map(|host| {
            let identity = certified.then(|| identities[host].clone());
            LocalMachines::new("landfall".into(), source.at(&format!("host-{host}")), identity)
        });
        let sent = source.send(&here, &there, "b");
        assert_eq!(sent.report["outcome"], "completed", "{}", sent.report);
        // A record of TLS that holds a hand-shake; or the beginning of a migration of QEMU's.
        let first = if certified { &[0x16, 3][..] } else { MAGIC };
        assert!(sent.heard.starts_with(first), "{:x?}", &sent.heard[..16]);
        // Much further on anything comes by chance.
        let beginning = &sent.heard[..sent.heard.len().min(1 << 16)];
        assert_eq!(contains(beginning, MAGIC), !certified);
        there.let_in(&sent.destination);
        let mut monitor = Client::connect(&sent.destination.monitor, PATIENCE).unwrap();
        let parameters = monitor.execute(&Qmp::QueryMigrateParameters).unwrap();
        assert_eq!(parameters["tls-creds"], "", "it can be moved on by anybody");
        wait_until_it_runs(&mut monitor);
        monitor.execute(&Qmp::Stop).unwrap();
        source.guest.assert_whole(sent.process.pid);
        sent.process.kill();
    }
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_guest_does_not_go_to_one_who_is_somebody_else_or_takes_it_in_the_open() {
    let mut source = Source::start();
    let [a, b] = source.identities();
    let machines = |name, identity| {
        LocalMachines::new("landfall".into(), source.folder.path().join(name), identity)
    };
    let here = machines("here", Some(a));
    let (there, open) = (machines("there", Some(b)), machines("open", None));
    for (target, name) in [(&there, "c"), (&open, "b")] {
        let sent = source.send(&here, target, name);
        assert_eq!(sent.report["outcome"], "failed", "{}", sent.report);
        assert!(sent.heard.starts_with(&[0x16, 3]), "nothing of it was said in the open");
        assert!(source.qemu.is_running());
        sent.process.kill();
    }
    source.qemu.client.execute(&Qmp::Stop).unwrap();
    source.guest.assert_whole(source.qemu.id());
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu"]
fn a_qemu_moves_between_nodes_that_have_certificates() {
    let hosts = Hosts::certified();
    let source = Source::start();
    let socket = source.qemu.for_pilot.display().to_string();
    let adopted = hosts.run("a", &format!("vm adopt db1 {socket}"));
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    let check = hosts.run("a", "vm check db1 --target b -o json");
    let found: Value = serde_json::from_str(&check.stdout).unwrap();
    let items = found["items"].as_array().unwrap();
    let protection = items.iter().find(|item| item["code"] == "protection").unwrap();
    assert_eq!((check.code, &protection["severity"]), (Some(0), &json!("ok")), "{check:?}");
    for (from, to) in [("a", "b"), ("b", "a")] {
        let moved = hosts.run(from, &format!("migrate db1 {to}"));
        assert_eq!(moved.code, Some(0), "{moved:?}");
        assert_eq!(hosts.json(to, "vm show db1")["state"], "running");
    }
    let there = hosts.json("a", "vm show db1");
    let mut monitor = Client::connect(there["monitor"].as_str().unwrap(), PATIENCE).unwrap();
    monitor.execute(&Qmp::Stop).unwrap();
    source.guest.assert_whole(u32::try_from(there["pid"].as_u64().unwrap()).unwrap());
}
