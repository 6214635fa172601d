//! A destination that dies costs the guest nothing, in whichever phase it dies.

use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use landfall_qmp::Event;
use landfall_vmm::devices::{Disk, DiskChoice, DiskError};
use serde_json::Value;

use super::boot::DISK;
use super::greeting::mortal;
use super::helper::Helper;
use super::holding::HELD;
use super::host::{Host, LANDFALL, Process};
use super::moving::{FAST_LINK, address, migrate, wait_for_guest, while_migrating};
use super::place::Place;
use super::watch::{is_in, is_in_pass, wait_for};
use crate::lab::machine::NEWS;

/// When a destination is killed that takes a guest in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// While every page is sent.
    FirstPass,
    /// While pages are sent that the guest wrote meanwhile.
    Passes,
    /// While the guest stands still and both ends go over all memory.
    Switchover,
}

pub(super) const PHASES: [Phase; 3] = [Phase::FirstPass, Phase::Passes, Phase::Switchover];
/// With so little downtime, and no throttle, it comes to pass after pass.
const ENDLESS: [&str; 4] = ["--max-downtime", "1ms", "--auto-converge", "off"];

impl Phase {
    fn options(self) -> &'static [&'static str] {
        if self == Self::Passes { &ENDLESS } else { &FAST_LINK }
    }

    /// Whether `event` says that the migration is in the middle of it.
    fn is_reached_with(self, event: &Event) -> bool {
        match self {
            Self::FirstPass => is_in(event, "active"),
            Self::Passes => is_in_pass(event, 3),
            Self::Switchover => is_in(event, "device"),
        }
    }

    /// Whether a migration of so many passes can have come as far as this.
    fn fits(self, passes: u64) -> bool {
        match self {
            Self::FirstPass => passes == 1,
            Self::Passes => passes >= 3,
            Self::Switchover => passes >= 1,
        }
    }
}

/// Connects the guest in `process` to a destination that ends without a word once it was greeted.
pub(super) fn end_destination_without_a_word(
    host: &mut Host,
    process: &Process,
    to: Place,
    number: u16,
) -> Result<(), String> {
    let uri = address(process.place, to, number);
    let (_, listens_at) = uri.split_once(':').ok_or("an address without a scheme")?;
    let destination = mortal(to, listens_at).map_err(|error| host.telling(error))?;
    let report = migrate(process, &uri, &FAST_LINK);
    destination.has_ended().map_err(|error| host.telling(error))?;
    has_failed(host, report, "connecting", |passes| passes == 0)
}

/// Moves the guest in `process` to a destination that is killed in `phase`. The guest keeps its disk; that it goes on is for others to
/// find out.
pub(super) fn kill_destination(
    host: &mut Host,
    process: &Process,
    to: Place,
    number: u16,
    phase: Phase,
) -> Result<(), String> {
    let uri = address(process.place, to, number);
    let destination = wait_for_guest(host, to, &uri)?;
    let report = while_migrating(process, &uri, phase.options(), |watch| {
        wait_for(watch, |event| phase.is_reached_with(event))?;
        host.kill(&destination)
    });
    has_failed(host, report, &format!("{phase:?}"), |passes| phase.fits(passes))
}

/// The migration whose destination was killed has failed after as many passes as it should, and the guest keeps its disk.
fn has_failed(
    host: &mut Host,
    report: Result<Value, String>,
    when: &str,
    fits: impl Fn(u64) -> bool,
) -> Result<(), String> {
    let report = report.map_err(|error| host.telling(error))?;
    println!("{NEWS}destination killed in {when}: {}", reason(&report));
    if report["outcome"] != "failed" || !report["passes"].as_u64().is_some_and(fits) {
        return Err(host.telling(format!("the migration did not fail in {when}\n{report:#}")));
    }
    has_its_disk(host)
}

/// Moves the guest in `process` to a destination that is killed when the guest was given to it, and before it could
/// run it. An operator decides then. The process that has the guest in the end: that is another one if the destination was faster.
pub(super) fn kill_committed(
    host: &mut Host,
    process: Process,
    to: Place,
    number: u16,
) -> Result<Process, String> {
    let uri = address(process.place, to, number);
    let destination = wait_for_guest(host, to, &uri)?;
    let (sender, news) = channel();
    // Another host has locks of its own: there somebody has the disk all along.
    let mut elsewhere = (to != process.place).then(|| has_the_disk(to)).transpose()?;
    // The source lets go of the disk just before it gives the guest away. Who waits for the disk then has it first.
    let mut holder = waits_for_the_disk(process.place, &sender)?;
    let report = thread::scope(|scope| {
        let source = &process;
        scope.spawn(move || {
            let report = migrate(source, &uri, &FAST_LINK);
            // Nobody listens who has failed meanwhile.
            let _ = sender.send(News::Ended(report));
        });
        let mut killed = false;
        loop {
            match news.recv().map_err(|error| error.to_string())? {
                News::Held => host.kill(&destination)?,
                News::Ended(report) => return Ok::<_, String>((report?, killed)),
            }
            killed = true;
        }
    });
    let (report, killed) = report.map_err(|error| host.telling(error))?;
    println!("{NEWS}destination killed at the commit: {}", reason(&report));
    match report["outcome"].as_str() {
        Some("in_doubt") if killed => {}
        // It had no disk to run the guest on, which was heard before it was killed.
        Some("in_doubt") => host.kill(&destination)?,
        Some("completed") if !killed => {
            host.quit(&process)?;
            return Ok(destination);
        }
        _ => return Err(host.telling(format!("the migration is not in doubt\n{report:#}"))),
    }
    holder.end()?;
    elsewhere.as_mut().map_or(Ok(()), Helper::end)?;
    let mut settle = process.place.command(LANDFALL);
    let settled = settle.arg("settle").arg(&process.qmp).arg("run").output();
    let settled = settled.map_err(|error| error.to_string())?;
    if !settled.status.success() {
        let said = String::from_utf8_lossy(&settled.stderr).into_owned();
        return Err(host.telling(format!("it cannot be settled\n{said}")));
    }
    has_its_disk(host)?;
    Ok(process)
}

enum News {
    /// The source has let go of the disk.
    Held,
    /// The migration has ended.
    Ended(Result<Value, String>),
}

/// Who has the disk of a host that is free there, from now on.
fn has_the_disk(place: Place) -> Result<Helper, String> {
    let (sender, news) = channel();
    let holder = waits_for_the_disk(place, &sender)?;
    drop(sender);
    news.recv().map_err(|_| "the disk is not free there".to_owned())?;
    Ok(holder)
}

/// Who has the disk of a host once nobody else has it, and says so then.
fn waits_for_the_disk(place: Place, news: &Sender<News>) -> Result<Helper, String> {
    let (holder, output) = Helper::at(place, &["hold", DISK])?;
    let news = news.clone();
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if line == HELD && news.send(News::Held).is_err() {
                break;
            }
        }
    });
    Ok(holder)
}

fn reason(report: &Value) -> &str {
    report["reason"].as_str().unwrap_or("?")
}

/// Nobody else can have the disk of a guest that runs here.
fn has_its_disk(host: &Host) -> Result<(), String> {
    let disk = DiskChoice { path: Path::new(DISK).to_owned(), read_only: false };
    match Disk::open(&disk).and_then(|disk| disk.lock()) {
        Err(DiskError::InUse(_)) => Ok(()),
        other => Err(host.telling(format!("the guest has lost its disk: {other:?}"))),
    }
}
