//! A machine in a process of its own, and its guest's memory as seen from here.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use landfall_qmp::{Client, ClientError};
use landfall_vmm::memory::GuestRam;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(10);

/// A process with a monitor. Ended and reaped when dropped, and by the kernel when this program ends in any other way.
#[derive(Debug)]
pub(super) struct Machine {
    role: &'static str,
    child: Child,
    said: PathBuf,
    /// The conversation with its monitor.
    pub(super) client: Client,
}

/// Kills and reaps a process whose monitor never came up.
struct Unfinished(Option<Child>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    // Both fail only when it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

impl Machine {
    /// Starts a command and waits for its monitor at `socket`; what it says goes to a file beside the socket.
    pub(super) fn start(
        role: &'static str,
        command: &[OsString],
        arguments: &[String],
        socket: &Path,
    ) -> Result<Self, String> {
        let said = socket.with_extension("log");
        let log = File::create(&said).map_err(|error| format!("{}: {error}", said.display()))?;
        // The kernel ends it with the thread that starts it, which is this program's first.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(command)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("setpriv (of util-linux) cannot be started: {error}"))?;
        let mut started = Unfinished(Some(child));
        let deadline = Instant::now() + START_TIMEOUT;
        let client = loop {
            match Client::connect(socket, COMMAND_TIMEOUT) {
                Ok(client) => break client,
                Err(ClientError::NoSocket(_) | ClientError::NobodyListens(_))
                    if Instant::now() < deadline => {}
                Err(error) => return Err(format!("the {role}: {}", chain(&error))),
            }
            let ended = started.0.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                return Err(format!("the {role} ended with {status}: {}", last_words(&said)));
            }
            sleep(RETRY);
        };
        let child = started.0.take().ok_or("the process is gone")?;
        Ok(Self { role, child, said, client })
    }

    /// Says whose error it was, with what the process said last.
    pub(super) fn blamed(&self, error: &ClientError) -> String {
        let said = last_words(&self.said);
        let said = if said.is_empty() { said } else { format!("; it said: {said}") };
        format!("the {}: {}{said}", self.role, chain(error))
    }

    /// What it has taken of the processors so far, its guest among it.
    pub(super) fn processor_time(&self) -> Result<Duration, String> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        // The name, in brackets, may hold anything.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks: u64 = ticks.sum::<Result<_, _>>().map_err(|error| format!("{path}: {error}"))?;
        // 100 a second, on every Linux there is.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Where its guest's memory is found, once it has one.
    pub(super) fn memory(&self) -> MemoryOf {
        MemoryOf { descriptors: PathBuf::from(format!("/proc/{}/fd", self.child.id())) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn last_words(said: &Path) -> String {
    let text = std::fs::read_to_string(said).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// The memory of another process's guest: an unnamed file, found among its descriptors.
#[derive(Debug)]
pub(super) struct MemoryOf {
    descriptors: PathBuf,
}

impl MemoryOf {
    /// The memory; `None` as long as the process has none.
    pub(super) fn find(&self) -> Option<Arc<GuestRam>> {
        let entries = std::fs::read_dir(&self.descriptors).ok()?.flatten();
        let guest = entries.map(|entry| entry.path()).find(|path| {
            let target = std::fs::read_link(path).unwrap_or_default();
            let target = target.to_string_lossy();
            target.starts_with("/memfd:landfall-guest")
                || target.starts_with("/memfd:memory-backend-memfd")
        })?;
        let file = File::options().read(true).write(true).open(guest).ok()?;
        // Until it has its size, it is not ready.
        GuestRam::of_file(file).ok().map(Arc::new)
    }
}
