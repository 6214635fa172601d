//! A machine in a process of its own, which never outlives the demonstration.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use landfall_qmp::{Client, ClientError, Command};
use serde::de::DeserializeOwned;

use crate::demo::DemoError;
use crate::interrupts::Interrupts;

/// How long a machine may take to bring its monitor up.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take over a command; a check of a large guest takes seconds.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take to end when it was asked to.
const QUIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a socket that is not there yet is tried.
const RETRY: Duration = Duration::from_millis(10);
/// What is kept of what a process says.
const KEPT_LINES: usize = 20;

/// A machine and the conversation with its monitor. Ended and reaped when dropped.
#[derive(Debug)]
pub(super) struct VmProcess {
    role: &'static str,
    process: Process,
    client: Client,
}

impl VmProcess {
    /// Starts `landfall vm run` with `args` and waits for the monitor at `socket`.
    pub(super) fn start(
        role: &'static str,
        args: Vec<OsString>,
        socket: &Path,
        interrupts: &Interrupts,
    ) -> Result<Self, DemoError> {
        let process = Process::spawn(role, args)?;
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match Client::connect(socket, COMMAND_TIMEOUT) {
                Ok(client) => return Ok(Self { role, process, client }),
                Err(ClientError::NoSocket(_) | ClientError::NobodyListens(_))
                    if Instant::now() < deadline => {}
                Err(source) => return Err(DemoError::Monitor { role, source }),
            }
            if interrupts.any() {
                return Err(DemoError::Interrupted);
            }
            if process.ends_within(RETRY) {
                return Err(DemoError::Ended { role, last_words: process.last_words() });
            }
        }
    }

    /// The conversation with its monitor.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Has `command` done and reads its result.
    pub(super) fn query<T: DeserializeOwned>(&mut self, command: &Command) -> Result<T, DemoError> {
        let result = self.client.query(command);
        result.map_err(|source| self.lost(source))
    }

    /// Why the conversation broke: best told by what the process said last, if it has ended.
    pub(super) fn lost(&self, source: ClientError) -> DemoError {
        let role = self.role;
        if matches!(source, ClientError::Closed) && self.process.ends_within(QUIT_TIMEOUT) {
            return DemoError::Ended { role, last_words: self.process.last_words() };
        }
        DemoError::Monitor { role, source }
    }

    /// Asks the machine to end, and sees to it that it does.
    pub(super) fn quit(mut self) {
        // It may have ended of itself, as a destination does to which no guest has come; otherwise it is ended below.
        let _ = self.client.execute(&Command::Quit);
        if !self.process.ends_within(QUIT_TIMEOUT) {
            tracing::warn!(role = self.role, "the machine did not end when asked to; ending it");
        }
    }
}

/// A child process, killed and reaped when dropped.
#[derive(Debug)]
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Disconnected when the process has ended and all that it said was read.
    ended: Receiver<()>,
}

impl Process {
    fn spawn(role: &'static str, args: Vec<OsString>) -> Result<Self, DemoError> {
        let failed = |source| DemoError::Spawn { role, source };
        let program = std::env::current_exe().map_err(failed)?;
        let mut child = std::process::Command::new(program)
            .args(["vm", "run", "--with-parent"])
            .args(args)
            // Held open for as long as we live: its end ends the machine, however we end.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C on the terminal is for us: we end the machines when the migration has been cancelled.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let stderr = child.stderr.take();
        let (ending, ended) = channel();
        let process = Self { child, lines: Arc::default(), ended };
        let lines = Arc::clone(&process.lines);
        if let Some(stderr) = stderr {
            thread::Builder::new()
                .name(format!("{role}-log"))
                .spawn(move || keep_lines(role, stderr, &lines, ending))
                .map_err(failed)?;
        }
        Ok(process)
    }

    fn ends_within(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }

    fn last_words(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep_lines(
    role: &str,
    stderr: impl Read,
    lines: &Mutex<Vec<String>>,
    // Dropped at the end, which is what the other end waits for.
    _ending: Sender<()>,
) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        tracing::info!(role, "{line}");
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.remove(0);
        }
        lines.push(line);
    }
}
