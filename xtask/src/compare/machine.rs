//! A machine in a process of its own, and its guest's memory as seen from here.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_migrate::machine::{GuestMemory as _, PageIndex};
use landfall_qmp::{Client, ClientError};
use landfall_vmm::memory::GuestRam;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(10);
/// Of another process's memory; a guest's is a multiple of it.
const COPIED_AT_ONCE: usize = 2 << 20;

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

    /// A copy of its guest's memory of `size`, where that is in no file but memory of the process itself.
    pub(super) fn copy_of_own_memory(&self, size: Bytes) -> Result<GuestRam, String> {
        let process = format!("/proc/{}", self.child.id());
        let failed = |error: std::io::Error| format!("{process}: {error}");
        let maps = std::fs::read_to_string(format!("{process}/maps")).map_err(failed)?;
        let begin = maps.lines().find_map(|line| own_memory_of(size, line));
        let begin = begin.ok_or_else(|| format!("no memory of {size} in {process}/maps"))?;
        let memory = File::open(format!("{process}/mem")).map_err(failed)?;
        let copy = GuestRam::new(size).map_err(|error| error.to_string())?;
        let mut run = vec![0; COPIED_AT_ONCE];
        for at in (0..size.0).step_by(run.len()) {
            memory.read_exact_at(&mut run, begin + at).map_err(failed)?;
            let first = PageIndex(at / PAGE_SIZE);
            copy.write_pages(first, &run).map_err(|error| error.to_string())?;
        }
        Ok(copy)
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

/// Where the memory begins that a line of /proc/PID/maps is about, if it is in no file, can be written to and has `size`.
fn own_memory_of(size: Bytes, line: &str) -> Option<u64> {
    let mut fields = line.split_whitespace();
    let (from, to) = fields.next()?.split_once('-')?;
    let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).ok());
    let (from, to) = (from?, to?);
    let is_own = fields.next() == Some("rw-p") && fields.nth(2) == Some("0");
    (is_own && to - from == size.0).then_some(from)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_process_is_found_by_its_size_and_is_in_no_file() {
        let found = |line| own_memory_of(Bytes(2 << 20), line);
        assert_eq!(
            found("7f0000200000-7f0000400000 rw-p 00000000 00:00 0 "),
            Some(0x7f00_0020_0000)
        );
        for other in [
            "7f0000200000-7f0000600000 rw-p 00000000 00:00 0",
            "7f0000200000-7f0000400000 r--p 00000000 00:00 0",
            "7f0000200000-7f0000400000 rw-s 00000000 00:01 1234 /memfd:ram (deleted)",
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
