//! What a guest has beside its disk and its card: a console of its own, and a balloon.

use std::fs;
use std::time::Instant;

use landfall_qmp::{BalloonInfo, Client, Command};

use super::host::{LIMIT, Process};

/// Where a machine has what the guests write to their consoles.
const LINES: &str = "/tmp/lines";
pub(super) const CONSOLE: [&str; 2] = ["--console", "file:/tmp/lines"];
/// Asked for of the 112 MiB that a guest has: it cannot do without much more.
pub(super) const KEPT: u64 = 110 << 20;

fn monitor(process: &Process) -> Result<Client, String> {
    Client::connect(&process.qmp, LIMIT).map_err(|error| error.to_string())
}

/// Asks the guest in `process`, which runs here, for memory, and waits until it has given it up.
pub(super) fn give_up_memory(process: &Process) -> Result<(), String> {
    let mut client = monitor(process)?;
    let asked = client.execute(&Command::Balloon { value: KEPT });
    asked.map_err(|error| error.to_string())?;
    loop {
        let event = client.wait_event(Instant::now() + LIMIT).map_err(|error| error.to_string())?;
        let event = event.ok_or("the guest does not give up what it was asked for")?;
        let actual = event.data.as_ref().and_then(|data| data["actual"].as_u64());
        if event.event == "BALLOON_CHANGE" && actual == Some(KEPT) {
            return Ok(());
        }
    }
}

/// What the guest in `process`, which runs here, has given up is still given up.
pub(super) fn has_given_up_memory(process: &Process) -> Result<(), String> {
    let info = monitor(process)?.query::<BalloonInfo>(&Command::QueryBalloon);
    match info.map_err(|error| error.to_string())? {
        BalloonInfo { actual: KEPT } => Ok(()),
        BalloonInfo { actual } => Err(format!("the guest has {actual} bytes and not {KEPT}")),
    }
}

/// Every line that a guest wrote to its console is here once, in its order; how many there are.
pub(super) fn lines() -> Result<usize, String> {
    let written = fs::read_to_string(LINES).map_err(|error| format!("{LINES}: {error}"))?;
    let lines: Vec<_> = written.lines().collect();
    let expected = (1..).map(|number| format!("line {number}"));
    match lines.iter().zip(expected).find(|(line, expected)| **line != expected) {
        None if lines.is_empty() => Err("the guest wrote nothing to its console".to_owned()),
        None => Ok(lines.len()),
        Some((line, expected)) => Err(format!("'{line}' is on the console and not '{expected}'")),
    }
}
