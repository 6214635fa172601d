//! Machines in processes of their own, with synthetic guests, and the binary in front of them.

use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command as Process, Output, Stdio};
use std::time::{Duration, Instant};

use landfall_qmp::{Client, Command, MigrationInfo, VmStatus};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn landfall(args: &[&str]) -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_landfall"));
    process.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    process
}

/// Runs `landfall ARGS…` to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    Ended::from(landfall(args).output().unwrap())
}

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The process of one machine; it ends with the test.
pub(crate) struct Machine {
    directory: TempDir,
    pub(crate) process: Child,
    /// What it says. Kept, for it could not say anything any more otherwise.
    _says: Lines<BufReader<ChildStderr>>,
}

impl Machine {
    /// A guest of 64 MiB in one vCPU.
    pub(crate) fn with_guest(probe: &str) -> Self {
        Self::start(&["--machine", "synthetic", "--memory", "64MiB", "--probe", probe], None)
    }

    /// A machine that waits for a guest, at [`Machine::uri`].
    pub(crate) fn waiting() -> Self {
        Self::start(&[], Some("guest"))
    }

    fn start(args: &[&str], incoming: Option<&str>) -> Self {
        let directory = TempDir::new().unwrap();
        let mut process = landfall(&["vm", "run", "--with-parent", "--qmp"]);
        process.arg(directory.path().join("qmp")).args(args);
        if let Some(name) = incoming {
            let path = directory.path().join(name);
            process.arg("--incoming").arg(format!("unix:{}", path.display()));
        }
        let mut process = process.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("the monitor listens")), "it has ended");
        Self { directory, process, _says: lines }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("qmp")
    }

    pub(crate) fn uri(&self) -> String {
        format!("unix:{}", self.directory.path().join("guest").display())
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.socket(), Duration::from_secs(10)).unwrap()
    }

    pub(crate) fn status(&self) -> VmStatus {
        self.client().query(&Command::QueryVm).unwrap()
    }

    /// Runs `landfall COMMAND… SOCKET ARGS…` to its end.
    pub(crate) fn run(&self, command: &[&str], args: &[&str]) -> Ended {
        let socket = self.socket();
        run(&[command, &[socket.to_str().unwrap()], args].concat())
    }

    /// Begins `landfall migrate` to `destination`.
    pub(crate) fn migrate(&self, destination: &Self, args: &[&str]) -> Child {
        let socket = self.socket();
        let (uri, command) = (destination.uri(), ["migrate", socket.to_str().unwrap()]);
        landfall(&[&command[..], &[&uri], args].concat()).spawn().unwrap()
    }

    /// Waits until the migration under way has come to `pass`.
    pub(crate) fn wait_for_pass(&self, pass: u64) {
        let mut client = self.client();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info: MigrationInfo = client.query(&Command::QueryMigrate).unwrap();
            assert!(!info.status.is_final(), "{info:?}");
            if info.landfall.is_some_and(|landfall| landfall.pass >= pass) {
                return;
            }
            assert!(Instant::now() < deadline, "it takes too long");
            client.wait_event(Instant::now() + Duration::from_millis(50)).unwrap();
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
