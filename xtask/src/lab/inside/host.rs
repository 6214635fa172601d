//! The hosts of guests: the processes that they run in, and all that comes from these.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::boot::DISK;
use super::devices::CONSOLE;
use super::place::Place;

pub(super) const LANDFALL: &str = "/bin/landfall";
/// Nothing is silent for so long that goes on, on however slow a host.
pub(super) const LIMIT: Duration = Duration::from_secs(360);
/// So much of what was heard is told when something did not come.
const TOLD: usize = 30;

/// What comes from the processes.
#[derive(Clone, Debug)]
enum News {
    /// A line on the guest's console, wherever the guest is.
    Console(String),
    /// A line from the process with this number.
    Said(usize, String),
    /// The process with this number has ended, with this code.
    Ended(usize, Option<i32>),
}

/// A process that has a guest, or waits for one.
#[derive(Debug)]
pub(super) struct Process {
    number: usize,
    input: ChildStdin,
    pub(super) place: Place,
    /// Its monitor, at its place.
    pub(super) qmp: PathBuf,
}

/// Where guests run.
pub(super) struct Host {
    news: Receiver<News>,
    sender: Sender<News>,
    /// The guest's console: one for all processes, so that no line is torn when the guest moves.
    console: PipeWriter,
    processes: usize,
    /// What nobody has asked for yet.
    kept: VecDeque<News>,
    heard: Vec<String>,
}

fn told(error: io::Error) -> String {
    error.to_string()
}

impl Host {
    pub(super) fn new() -> Result<Self, String> {
        let (reader, console) = io::pipe().map_err(told)?;
        let (sender, news) = channel();
        listen(reader, sender.clone());
        let (kept, heard) = (VecDeque::new(), Vec::new());
        Ok(Self { news, sender, console, processes: 0, kept, heard })
    }

    /// Starts a machine's process at `place`, and waits until its monitor listens.
    pub(super) fn start(&mut self, place: Place, arguments: &[&str]) -> Result<Process, String> {
        let number = self.processes;
        self.processes += 1;
        let qmp = PathBuf::from(format!("/tmp/qmp-{number}"));
        // By its number it can be told to end, wherever it is.
        let noted = format!("echo $$ > {}; exec {LANDFALL} \"$@\"", id_file(number));
        let mut command = place.command("/bin/sh");
        command.args(["-c", &noted, "sh", "vm", "run", "--allow", "/tmp", "--allow", "/etc"]);
        command.args(["--allow", DISK]).args(CONSOLE);
        command.args(arguments).arg("--qmp").arg(&qmp);
        let console = self.console.try_clone().map_err(told)?;
        command.stdin(Stdio::piped()).stdout(console).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(told)?;
        let input = child.stdin.take().ok_or("a process without input")?;
        watch(child, number, self.sender.clone())?;
        let process = Process { number, input, place, qmp };
        self.wait("the monitor", |news| match news {
            News::Said(from, line) if *from == number && line.contains("the monitor listens") => {
                Some(Ok(()))
            }
            news => has_ended(news, number),
        })?;
        Ok(process)
    }

    /// Waits for a line on the console that begins with `beginning`, from a guest that is in `process`.
    pub(super) fn line(&mut self, process: &Process, beginning: &str) -> Result<String, String> {
        self.wait(&format!("'{beginning}…' on the console"), |news| match news {
            News::Console(line) if line.starts_with(beginning) => Some(Ok(line.clone())),
            // After a good end, what it printed last may still be on its way.
            News::Ended(_, Some(0)) => None,
            news => has_ended(news, process.number),
        })
    }

    /// Waits for the end of `process`, which must be a good one.
    pub(super) fn end(&mut self, process: &Process) -> Result<(), String> {
        self.end_with(process, 0)
    }

    /// Waits for the end of `process`, with `expected` as its exit code.
    pub(super) fn end_with(&mut self, process: &Process, expected: i32) -> Result<(), String> {
        let code = self.code(process)?;
        if code == Some(expected) {
            return Ok(());
        }
        Err(self.telling(format!("it ended with {code:?} and not with {expected}")))
    }

    /// Kills `process`, and returns when nothing is left of it.
    pub(super) fn kill(&mut self, process: &Process) -> Result<(), String> {
        let kill = format!("kill -9 $(cat {})", id_file(process.number));
        let killed = process.place.command("/bin/sh").args(["-c", &kill]).status();
        if !killed.map_err(told)?.success() {
            return Err(self.telling("it had ended before it was killed".to_owned()));
        }
        self.code(process).map(drop)
    }

    /// Waits for the end of `process`; its exit code, if it had one.
    fn code(&mut self, process: &Process) -> Result<Option<i32>, String> {
        self.wait("the end of a process", |news| match news {
            News::Ended(from, code) if *from == process.number => Some(Ok(*code)),
            _ => None,
        })
    }

    /// Ends `process`, which has no guest any more.
    pub(super) fn quit(&mut self, process: &Process) -> Result<(), String> {
        let mut quit = process.place.command("/bin/xtask");
        let quit = quit.args(["lab-inside", "quit"]).arg(&process.qmp).status();
        if !quit.map_err(told)?.success() {
            return Err(self.telling("its monitor does not end it".to_owned()));
        }
        self.end(process)
    }

    fn wait<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&News) -> Option<Result<T, String>>,
    ) -> Result<T, String> {
        let mut looked_at = 0;
        loop {
            while let Some(news) = self.kept.get(looked_at) {
                if let Some(found) = wanted(news) {
                    self.kept.remove(looked_at);
                    return found.map_err(|error| self.telling(error));
                }
                looked_at += 1;
            }
            let Ok(news) = self.news.recv_timeout(LIMIT) else {
                return Err(self.telling(format!("{what} has not come")));
            };
            self.heard.push(match &news {
                News::Console(line) => format!("console: {line}"),
                News::Said(number, line) => format!("process {number}: {line}"),
                News::Ended(number, code) => format!("process {number} ended: {code:?}"),
            });
            self.kept.push_back(news);
        }
    }

    /// `error`, and what was heard last.
    pub(super) fn telling(&self, error: String) -> String {
        let last = &self.heard[self.heard.len().saturating_sub(TOLD)..];
        [vec![error], last.to_vec()].concat().join("\n")
    }
}

impl Process {
    /// Types a line into the guest's console.
    pub(super) fn type_line(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.input, "{line}").map_err(told)
    }

    /// What `landfall` answers that is asked this about it, whatever comes out of it.
    pub(super) fn ask(&self, what: &str, options: &[&str]) -> Result<Value, String> {
        let mut command = self.place.command(LANDFALL);
        command.arg(what).arg(&self.qmp).args(["-o", "json"]).args(options);
        let output = command.output().map_err(told)?;
        serde_json::from_slice(&output.stdout).map_err(|error| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("what landfall {what} tells cannot be read: {error}\n{said}")
        })
    }
}

/// Where the system's number of a process is noted.
fn id_file(number: usize) -> String {
    format!("/tmp/id-{number}")
}

fn has_ended<T>(news: &News, number: usize) -> Option<Result<T, String>> {
    match news {
        News::Ended(from, code) if *from == number => {
            Some(Err(format!("process {number} ended with {code:?}")))
        }
        _ => None,
    }
}

/// Passes on each line of the console.
fn listen(reader: PipeReader, sender: Sender<News>) {
    thread::spawn(move || pass_on(reader, |line| sender.send(News::Console(line)).is_ok()));
}

/// Passes on what a process says, and its end.
fn watch(mut child: Child, number: usize, sender: Sender<News>) -> Result<(), String> {
    let said = child.stderr.take().ok_or("a process without a standard error stream")?;
    thread::spawn(move || {
        pass_on(said, |line| sender.send(News::Said(number, line)).is_ok());
        let code = child.wait().ok().and_then(|status| status.code());
        // Nobody listens when the trial is over.
        let _ = sender.send(News::Ended(number, code));
    });
    Ok(())
}

/// Gives each line, without the end that a serial console has, for as long as it is taken.
fn pass_on(from: impl Read, taken: impl Fn(String) -> bool) {
    let lines = BufReader::new(from).split(b'\n').map_while(Result::ok);
    let text = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end().to_owned();
    lines.map(text).take_while(|line| taken(line.clone())).for_each(drop);
}
