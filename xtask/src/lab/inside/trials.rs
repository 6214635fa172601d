//! What is tried in a lab machine.

use std::fs::File;
use std::process::Command;

use serde_json::Value;

use super::connection::Connection;
use super::host::{Host, Process};
use super::killing::{MOMENTS, kill_destination};
use crate::lab::machine::NEWS;

/// One trial.
pub(super) struct Trial {
    /// How it is chosen.
    pub(super) name: &'static str,
    /// What it shows.
    pub(super) about: &'static str,
    pub(super) run: fn(&mut Host) -> Result<(), String>,
}

pub(super) const TRIALS: &[Trial] = &[
    Trial { name: "crash", about: "Linux crashes and asks for a reset", run: crash },
    Trial {
        name: "writer",
        about: "Linux that outruns its link arrives with auto-converge only",
        run: outrun,
    },
    Trial {
        name: "work",
        about: "Linux works through two failed migrations and ten others, and another finds on its disk what it wrote",
        run: migrations,
    },
];

/// The exit code of a process whose guest asked for a reset.
const RESET: i32 = 8;
/// Little more than the kernel and the guest's work need: all of it is sent, and read once more for the digest.
const MEMORY: &str = "112MiB";
const MIGRATIONS: u16 = 10;
const FIRST_PORT: u16 = 4444;
/// Nothing here depends on the speed of the host, which is an emulated one.
const PATIENCE: [&str; 2] = ["--peer-timeout", "120s"];
/// The digest that is compared at both ends takes long there, and out of the downtime.
pub(super) const FAST_LINK: [&str; 5] =
    ["--verify", "--bandwidth", "20MB/s", "--max-downtime", "4s"];
/// Carries a small part of what the writer writes, and not nearly its working set in the downtime.
const SLOW_LINK: [&str; 4] = ["--bandwidth", "6MB/s", "--max-downtime", "700ms"];
const UNAIDED: [&str; 4] = ["--auto-converge", "off", "--time-limit", "20s"];
/// The disk of the guests.
pub(super) const DISK: &str = "/tmp/disk";
const DISK_SIZE: u64 = 16 << 20;
/// Their network card, and where the host waits for a connection.
const CARD: &str = "tap=tap0,mac=52:54:00:12:34:56";
const OUTSIDE: u16 = 5000;

/// Boots a guest, and waits for its first words.
fn boot(host: &mut Host, words: &str, disk: &str) -> Result<Process, String> {
    let command_line = format!("console=ttyS0 loglevel=1 panic=-1 {words}");
    let files = ["--kernel", "/boot/vmlinuz", "--initrd", "/boot/guest"];
    let size = ["--machine", "kvm", "--cpus", "2", "--memory", MEMORY];
    let own = ["--cmdline", &command_line, "--disk", disk, "--net", CARD];
    let arguments = [&files[..], &size, &own].concat();
    let process = host.start(&arguments)?;
    let up = host.line(&process, "guest: up")?;
    if up.ends_with("with 2 processors, time by kvm-clock") {
        Ok(process)
    } else {
        Err(host.telling(format!("it is not what was asked for: {up}")))
    }
}

/// A disk with nothing on it.
fn empty_disk() -> Result<(), String> {
    let made = File::create(DISK).and_then(|file| file.set_len(DISK_SIZE));
    made.map_err(|error| format!("there is no room for a disk: {error}"))
}

/// A kernel that has crashed restarts the machine, by whatever way it finds.
fn crash(host: &mut Host) -> Result<(), String> {
    empty_disk()?;
    let mut process = boot(host, "lab=crash", DISK)?;
    process.type_line("crash")?;
    host.end_with(&process, RESET)
}

/// One guest life, from process to process, while it works and checks what it does.
fn migrations(host: &mut Host) -> Result<(), String> {
    empty_disk()?;
    let mut connection = Connection::expected_at(OUTSIDE)?;
    let mut process = boot(host, "lab=work", DISK)?;
    host.line(&process, "guest: at work")?;
    connection.flows().map_err(|error| host.telling(error))?;
    // What comes next shows that neither left anything behind.
    for (number, moment) in (MIGRATIONS + 1..).zip(MOMENTS) {
        kill_destination(host, &process, &address(number), moment)?;
        is_there(host, &mut process, number)?;
        connection.flows().map_err(|error| host.telling(error))?;
    }
    for number in 1..=MIGRATIONS {
        let mut destination = move_on(host, &process, number, &FAST_LINK, "completed")?;
        is_there(host, &mut destination, number)?;
        connection.flows().map_err(|error| host.telling(error))?;
        host.quit(&process)?;
        process = destination;
    }
    let bytes = connection.finish().map_err(|error| host.telling(error))?;
    println!("{NEWS}{bytes} bytes went round on the guest's connection");
    finish(host, process)?;
    read(host)
}

/// Lets a guest come to its end, and hears what it has found.
fn finish(host: &mut Host, mut process: Process) -> Result<(), String> {
    process.type_line("finish")?;
    let checked = host.line(&process, "guest: checked")?;
    println!("{NEWS}{checked}");
    if !checked.starts_with("guest: checked, all right") {
        return Err(host.telling(checked));
    }
    host.end(&process)
}

/// A writer that outruns the link does not arrive unaided, and arrives with auto-converge.
fn outrun(host: &mut Host) -> Result<(), String> {
    empty_disk()?;
    let mut process = boot(host, "lab=writer", DISK)?;
    host.line(&process, "guest: at work")?;
    let unaided = [&SLOW_LINK[..], &UNAIDED].concat();
    let nobody = move_on(host, &process, 1, &unaided, "gave_up")?;
    // It goes on where it was, with its disk and its network.
    is_there(host, &mut process, 1)?;
    drop(nobody);
    let mut arrived = move_on(host, &process, 2, &SLOW_LINK, "completed")?;
    is_there(host, &mut arrived, 2)?;
    host.quit(&process)?;
    finish(host, arrived)
}

/// Asks the guest in `process` whether it is there, and waits for its answer.
fn is_there(host: &mut Host, process: &mut Process, number: u16) -> Result<(), String> {
    process.type_line(&format!("is it there after {number}?"))?;
    host.line(process, &format!("guest: is it there after {number}?")).map(drop)
}

/// Another guest reads the disk that the one of the migrations has left.
fn read(host: &mut Host) -> Result<(), String> {
    let process = boot(host, "lab=read", &format!("{DISK},readonly"))?;
    let found = host.line(&process, "guest: ")?;
    println!("{NEWS}{found}");
    if found != "guest: read 8 files" {
        return Err(host.telling(found));
    }
    host.end(&process)
}

/// Starts the migration with this number to a new process, which must have this outcome; the process.
fn move_on(
    host: &mut Host,
    from: &Process,
    number: u16,
    options: &[&str],
    outcome: &str,
) -> Result<Process, String> {
    let uri = address(number);
    let destination = host.start(&["--incoming", &uri])?;
    let report = migrate(from, &uri, options).map_err(|error| host.telling(error))?;
    let figure = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    println!(
        "{NEWS}migration {number}: {} after {:.1} s, {:.0} ms of downtime ({:.0} foretold), {} passes, throttle {:.2}",
        report["outcome"].as_str().unwrap_or("?"),
        figure("total_ms") / 1000.0,
        figure("downtime_ms"),
        figure("predicted_downtime_ms"),
        report["passes"],
        figure("max_throttle"),
    );
    let as_promised = if options.contains(&"--verify") {
        report["integrity"] == "ok"
    } else if outcome == "gave_up" {
        // What it has not done is to catch up: with the first pass it was through.
        report["passes"].as_u64() > Some(1)
    } else {
        // How long it took in the end is up to the host, too.
        figure("predicted_downtime_ms") <= figure("downtime_limit_ms")
    };
    if report["outcome"] == outcome && as_promised {
        return Ok(destination);
    }
    Err(host.telling(format!("migration {number} did not go as it should\n{report:#}")))
}

/// Where the destination of the migration with this number waits.
fn address(number: u16) -> String {
    format!("tcp:127.0.0.1:{}", FIRST_PORT + number)
}

/// Moves the guest that is in `source`; the report, whatever the outcome.
pub(super) fn migrate(source: &Process, uri: &str, options: &[&str]) -> Result<Value, String> {
    let mut command = Command::new("/bin/landfall");
    command.arg("migrate").arg(&source.qmp).args([uri, "-o", "json"]).args(PATIENCE);
    let output = command.args(options).output().map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|error| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("the report cannot be read: {error}\n{said}")
    })
}
