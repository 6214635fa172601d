//! Processes that outlive the daemon.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: u32,
    /// When it was started, in clock ticks since the system was.
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this number now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (start_time, state) = parse(&stat)?;
        // A zombie does nothing any more, and its number will be another's.
        (state != 'Z').then_some(Self { pid, start_time })
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// A hold on it, if it is there: what is done by it cannot hit a later process of its number.
    fn open(self) -> Option<OwnedFd> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw)?;
        let hold = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        // Looked at only now: before, its number might have become another's meanwhile.
        self.is_alive().then_some(hold)
    }

    /// Ends it at once, if it is there.
    pub fn kill(self) {
        if let Some(hold) = self.open() {
            // It has ended by itself meanwhile, which is as good.
            let _ = pidfd_send_signal(&hold, Signal::KILL);
        }
    }

    /// Waits for its end for so long; tells whether it has come.
    #[must_use]
    pub fn ends_within(self, time: Duration) -> bool {
        let Some(hold) = self.open() else { return true };
        let timeout = Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        };
        let mut polled = [PollFd::new(&hold, PollFlags::IN)];
        poll(&mut polled, Some(&timeout)).is_ok_and(|ready| ready > 0)
    }
}

/// The processes that were started with arguments that are `wanted`.
pub fn with_arguments(wanted: impl Fn(&[&str]) -> bool) -> Vec<ProcessId> {
    let found = |entry: fs::DirEntry| {
        let process = ProcessId::of(entry.file_name().to_str()?.parse().ok()?)?;
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        let words = String::from_utf8_lossy(&words);
        let words: Vec<&str> = words.split_terminator('\0').collect();
        wanted(&words).then_some(process)
    };
    // Without it there is nothing to be found.
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes.flatten().filter_map(found).collect()
}

/// The time of the start and the state, out of `/proc/PID/stat`. The name in it may hold anything, also parentheses.
fn parse(stat: &str) -> Option<(u64, char)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // The state is field 3, the start field 22.
    Some((fields.nth(18)?.parse().ok()?, state))
}

/// Starts a process in a group of its own, so that what ends the daemon does not end it, with its output in `log`.
///
/// # Errors
/// When the system refuses.
pub fn start(mut command: Command, log: &Path) -> std::io::Result<ProcessId> {
    let output = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()?;
    let id = ProcessId::of(child.id());
    // Somebody must take note of its end as long as this process is its parent.
    std::thread::Builder::new().name("child".to_owned()).spawn(move || drop(child.wait()))?;
    id.ok_or_else(|| std::io::Error::other("it ended at once"))
}

/// Why a process has ended, by what is in `log`: the last error with what caused it, as Landfall writes them, or the last line.
#[must_use]
pub fn last_words(log: &Path) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The parser of arguments sends its reader to a help that whoever asked for a machine does not have.
    let said = |line: &&str| !line.is_empty() && !line.starts_with("For more information");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(said).collect();
    let Some(error) = lines.iter().rposition(|line| line.starts_with("error: ")) else {
        return lines.last().map(|&line| line.to_owned());
    };
    let bare = |line: &&'_ str| {
        let line = line.strip_prefix("error: ").or_else(|| line.strip_prefix("because: "));
        line.map(str::to_owned)
    };
    Some(lines[error..].iter().filter_map(bare).collect::<Vec<_>>().join(": "))
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
