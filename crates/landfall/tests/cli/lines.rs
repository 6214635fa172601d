//! `--serial` and `--console`: where they lead, and what becomes of what is on its way when the guest moves.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use landfall_qmp::{Client, Command};
use tempfile::TempDir;

use crate::elf::kernel;
use crate::monitor::{Ended, landfall};

const PATIENCE: Duration = Duration::from_secs(60);

/// 32-bit code that says back every byte that it reads from the serial port, and powers off with a `q`.
const ECHO: [u8; 27] = [
    0x66, 0xBA, 0xFD, 0x03, 0xEC, 0xA8, 0x01, 0x74,
    0xFB, // waits for bit 0 of the line status
    0x66, 0xBA, 0xF8, 0x03, 0xEC, 0xEE, // reads and writes
    0x3C, b'q', 0x75, 0xED, // goes on unless it was a q
    0x66, 0xBA, 0x04, 0x06, 0xB0, 0x34, 0xEE, 0xF4,
];
/// 32-bit code that says all numbers of a byte in order, over and over.
const COUNT: [u8; 11] = [0x31, 0xC0, 0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xFE, 0xC0, 0xEB, 0xFB];

fn has_kvm() -> bool {
    landfall_vmm::kvm::is_available()
        .inspect_err(|error| eprintln!("skipping KVM: {error}"))
        .is_ok()
}

/// Machines with one guest between them.
struct Host {
    folder: TempDir,
}

/// A machine's process, which ends with this.
struct Machine {
    process: Child,
    monitor: PathBuf,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // One that has ended already is only reaped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Host {
    fn new(code: &[u8]) -> Self {
        let folder = TempDir::with_prefix("landfall-").unwrap();
        fs::write(folder.path().join("kernel"), kernel(code)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, name: &str, serial: &str, arguments: &[&str]) -> Process {
        let mut command = landfall();
        command.args(["vm", "run", "--serial", serial, "--qmp"]).arg(self.path(name));
        command.arg("--allow").arg(self.folder.path()).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    }

    /// Starts a machine, and waits until its monitor listens.
    fn start(&self, name: &str, serial: &str, arguments: &[&str]) -> Machine {
        let process = self.command(name, serial, arguments).spawn().unwrap();
        let machine = Machine { process, monitor: self.path(name) };
        let deadline = Instant::now() + PATIENCE;
        while Client::connect(&machine.monitor, PATIENCE).is_err() {
            assert!(Instant::now() < deadline, "no machine {name}");
            thread::yield_now();
        }
        machine
    }

    fn source(&self, serial: &str) -> Machine {
        let kernel = self.path("kernel").display().to_string();
        let guest = ["--machine", "kvm", "--memory", "16MiB", "--kernel", &kernel];
        self.start("source", serial, &guest)
    }

    fn destination(&self, serial: &str) -> Machine {
        let uri = format!("unix:{}", self.path("in").display());
        self.start("destination", serial, &["--incoming", &uri])
    }

    fn migrate(&self, from: &Machine) {
        let uri = format!("unix:{}", self.path("in").display());
        let moved = landfall().arg("migrate").arg(&from.monitor).arg(uri).output().unwrap();
        let moved = Ended::from(moved);
        assert_eq!(moved.code, Some(0), "{moved:?}");
    }
}

/// Reads `count` bytes.
fn heard(from: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

fn connected(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn what_is_typed_is_answered_before_and_after_a_migration_over_streams_and_sockets() {
    if !has_kvm() {
        return;
    }
    for order in [["stdio", "socket"], ["socket", "stdio"]] {
        let host = Host::new(&ECHO);
        let socket = format!("socket:{}", host.path("serial").display());
        let [first, second] = order.map(|kind| if kind == "stdio" { "stdio" } else { &socket });
        let mut source = host.source(first);
        let mut destination = host.destination(second);
        let mut client = connected(&host.path("serial"));
        let streams = |machine: &mut Machine| {
            (machine.process.stdin.take().unwrap(), machine.process.stdout.take().unwrap())
        };
        if first == "stdio" {
            let (mut typed, mut said) = streams(&mut source);
            typed.write_all(b"before").unwrap();
            assert_eq!(heard(&mut said, 6), b"before");
            host.migrate(&source);
            client.write_all(b"afterq").unwrap();
            assert_eq!(heard(&mut client, 6), b"afterq");
        } else {
            client.write_all(b"before").unwrap();
            assert_eq!(heard(&mut client, 6), b"before");
            host.migrate(&source);
            let (mut typed, mut said) = streams(&mut destination);
            typed.write_all(b"afterq").unwrap();
            assert_eq!(heard(&mut said, 6), b"afterq");
        }
        assert_eq!(destination.process.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_file_has_all_that_a_guest_said_at_both_ends_once_and_in_order() {
    if !has_kvm() {
        return;
    }
    let host = Host::new(&COUNT);
    let file = host.path("said");
    let serial = format!("file:{}", file.display());
    let source = host.source(&serial);
    let destination = host.destination(&serial);
    let length = || File::open(&file).unwrap().metadata().unwrap().len();
    let grown = |from: u64| {
        let deadline = Instant::now() + PATIENCE;
        while length() < from + 1000 {
            assert!(Instant::now() < deadline, "the guest says nothing");
            thread::yield_now();
        }
    };
    grown(0);
    host.migrate(&source);
    grown(length());
    let mut monitor = Client::connect(&destination.monitor, PATIENCE).unwrap();
    monitor.execute(&Command::Stop).unwrap();
    let said = fs::read(&file).unwrap();
    assert!(said.windows(2).all(|pair| pair[0].wrapping_add(1) == pair[1]));
}

#[test]
fn a_guest_whose_words_nobody_reads_can_be_stopped_and_moved() {
    if !has_kvm() {
        return;
    }
    let host = Host::new(&COUNT);
    let mut source = host.source("stdio");
    let mut said = source.process.stdout.take().unwrap();
    assert_eq!(heard(&mut said, 2), [0, 1]);
    // It speaks on, and nobody reads, until the last of sixteen pages of the pipe is begun.
    let deadline = Instant::now() + PATIENCE;
    while rustix::io::ioctl_fionread(&said).unwrap() < 61_000 {
        assert!(Instant::now() < deadline, "the guest says nothing");
        thread::yield_now();
    }
    let mut monitor = Client::connect(&source.monitor, PATIENCE).unwrap();
    monitor.execute(&Command::Stop).unwrap();
    monitor.execute(&Command::Cont).unwrap();
    let mut destination = host.destination("stdio");
    host.migrate(&source);
    heard(&mut destination.process.stdout.take().unwrap(), 1000);
}

#[test]
fn a_place_that_cannot_be_had_is_refused_with_what_to_do() {
    let host = Host::new(&ECHO);
    let taken = host.path("taken");
    let _listener = std::os::unix::net::UnixListener::bind(&taken).unwrap();
    let taken = format!("socket:{}", taken.display());
    let probe = ["--probe", "sweep", "--machine", "synthetic", "--memory", "16MiB"];
    let nowhere = format!("file:{}", host.path("none/file").display());
    let kernel = host.path("kernel").display().to_string();
    let incoming = ["--incoming", &format!("unix:{}", host.path("in").display())];
    let both = [&incoming[..], &["--console", "stdio"]].concat();
    let console = [&incoming[..], &["--console", &nowhere]].concat();
    let new = ["--machine", "kvm", "--kernel", &kernel, "--console", "stdio"];
    for (serial, arguments, words) in [
        (&taken[..], &probe[..], ["--serial", "choose another place"]),
        (&nowhere, &probe, ["--serial", "choose another place"]),
        ("stdio", &console, ["--console", "choose another place"]),
        ("stdio", &both, ["cannot both lead to stdio", "file:PATH"]),
        ("stdio", &new, ["cannot both lead to stdio", "file:PATH"]),
    ] {
        let mut command = host.command("refused", serial, arguments);
        let ended = Ended::from(command.stderr(Stdio::piped()).output().unwrap());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        for word in words {
            assert!(ended.stderr.contains(word), "{word} in {ended:?}");
        }
    }
}
