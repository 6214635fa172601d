//! The course of a trial: its lab machines from their start to their end, and what they print meanwhile.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::machine::{FAILED, FINISHED, READY, Running};

/// How long the machines of a trial may be silent: longer than anything in them waits for anything.
pub(super) const SILENCE: Duration = Duration::from_secs(420);
/// How long they may take in all, on however slow a host.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// So many lines are told once more when they are silent.
const TOLD: usize = 20;

/// Why a trial came to no good end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It has failed.
    Failed(String),
    /// Nothing came any more, which is the emulator's fault as likely as anybody's; with what came last.
    Silent(String),
}

/// What comes from the lab machines.
enum News {
    /// A line on the console of the machine with this index.
    Line(usize, String),
    /// The machine with this index has gone down.
    Down(usize),
}

/// Follows the machines of the trial with this name until the first goes down, and shows what they print. When two are
/// ready, the first is told so.
pub(super) fn follow(name: &str, machines: &mut [Running]) -> Result<(), Trouble> {
    let (sender, news) = channel();
    let broken = || Trouble::Failed("QEMU has no input or output".to_owned());
    for (index, machine) in machines.iter_mut().enumerate() {
        listen(index, machine.0.stdout.take().ok_or_else(broken)?, sender.clone());
    }
    let console = machines[0].0.stdin.take().ok_or_else(broken)?;
    let verdict = hear(name, &news, console, SILENCE)?;
    machines[0].end().map_err(Trouble::Failed)?;
    verdict.map_err(Trouble::Failed)
}

/// Waits until `machine` can be asked for something. What it prints later is read by nobody, and does not hold it up.
pub(super) fn ready(machine: &mut Running) -> Result<(), String> {
    let (sender, news) = channel();
    listen(0, machine.0.stdout.take().ok_or("QEMU has no output")?, sender);
    loop {
        match news.recv_timeout(SILENCE) {
            Ok(News::Line(_, line)) if line == READY => break,
            Ok(News::Line(..)) => {}
            Ok(News::Down(_)) => return Err("the second lab machine went down".to_owned()),
            Err(_) => return Err("the second lab machine does not come up".to_owned()),
        }
    }
    thread::spawn(move || news.iter().for_each(drop));
    Ok(())
}

/// What the machines say of the trial in the end.
fn hear(
    name: &str,
    news: &Receiver<News>,
    mut console: impl Write,
    silence: Duration,
) -> Result<Result<(), String>, Trouble> {
    let deadline = Instant::now() + LIMIT;
    let mut last = VecDeque::new();
    let mut verdict = None;
    let mut ready = [false; 2];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match news.recv_timeout(silence.min(left)) {
            Ok(News::Line(index, line)) => {
                let shown = format!("  {name}: {line}");
                println!("{shown}");
                last.push_back(shown);
                last.drain(..last.len().saturating_sub(TOLD));
                if line == READY {
                    ready[index] = true;
                    if ready == [true; 2] {
                        // If it has gone down, that is heard next.
                        let _ = writeln!(console, "go");
                    }
                } else if index == 0 {
                    verdict = verdict_of(&line).or(verdict);
                }
            }
            Ok(News::Down(0)) => break,
            Ok(News::Down(_)) => {
                return Err(Trouble::Failed("the second lab machine went down".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) if left <= silence => {
                let limit = LIMIT.as_secs();
                return Err(Trouble::Failed(format!("{name} has not ended after {limit} s")));
            }
            Err(_) => {
                let last = last.make_contiguous().join("\n");
                return Err(Trouble::Silent(format!(
                    "{name} was silent for {} s; the last that came:\n{last}",
                    silence.as_secs()
                )));
            }
        }
    }
    let down = || Err("the lab machine went down before its trial ended".to_owned());
    Ok(verdict.unwrap_or_else(down))
}

/// What a line says of the trial as a whole.
fn verdict_of(line: &str) -> Option<Result<(), String>> {
    match line.strip_prefix(FAILED) {
        Some(why) => Some(Err(why.to_owned())),
        None => (line == FINISHED).then_some(Ok(())),
    }
}

/// Passes on each line, and the end.
fn listen(index: usize, output: impl Read + Send + 'static, sender: Sender<News>) {
    thread::spawn(move || {
        let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
        for line in lines {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(News::Line(index, line)).is_err() {
                return;
            }
        }
        // Nobody listens who has heard enough.
        let _ = sender.send(News::Down(index));
    });
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
