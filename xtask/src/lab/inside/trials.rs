//! What is tried in a lab machine.

use std::fs::File;
use std::process::Command;

use serde_json::Value;

use super::connection::Connection;
use super::host::{Host, Process};
use crate::command::output;
use crate::lab::machine::NEWS;

/// One trial.
pub(super) struct Trial {
    pub(super) name: &'static str,
    pub(super) run: fn(&mut Host) -> Result<(), String>,
}

pub(super) const TRIALS: &[Trial] = &[
    Trial { name: "Linux crashes and asks for a reset", run: crash },
    Trial { name: "Linux works through ten migrations", run: migrations },
    Trial { name: "Linux finds on its disk what it wrote, and powers off", run: read },
];

/// The exit code of a process whose guest asked for a reset.
const RESET: i32 = 8;
const MIGRATIONS: u16 = 10;
const FIRST_PORT: u16 = 4444;
/// Nothing here depends on the speed of the host, which is an emulated one. The digest that is compared at both ends takes
/// long there, and out of the downtime.
const CONDITIONS: [&str; 7] =
    ["--verify", "--bandwidth", "16MB/s", "--max-downtime", "4s", "--peer-timeout", "120s"];

/// The disk of the guests.
const DISK: &str = "/tmp/disk";
const DISK_SIZE: u64 = 16 << 20;
/// Their network card, and where the host waits for a connection.
const CARD: &str = "tap=tap0,mac=52:54:00:12:34:56";
const OUTSIDE: u16 = 5000;

/// Boots a guest, and waits for its first words.
fn boot(host: &mut Host, words: &str, disk: &str) -> Result<Process, String> {
    let command_line = format!("console=ttyS0 loglevel=1 panic=-1 {words}");
    let files = ["--kernel", "/boot/vmlinuz", "--initrd", "/boot/guest"];
    let size = ["--machine", "kvm", "--cpus", "2", "--memory", "160MiB"];
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
    for number in 1..=MIGRATIONS {
        let uri = format!("tcp:127.0.0.1:{}", FIRST_PORT + number);
        let mut destination = host.start(&["--incoming", &uri])?;
        let report = migrate(&process, &uri).map_err(|error| host.telling(error))?;
        println!("{NEWS}migration {number}: {report}");
        destination.type_line(&format!("is it there after {number}?"))?;
        host.line(&destination, &format!("guest: is it there after {number}?"))?;
        connection.flows().map_err(|error| host.telling(error))?;
        host.quit(&process)?;
        process = destination;
    }
    let bytes = connection.finish().map_err(|error| host.telling(error))?;
    println!("{NEWS}{bytes} bytes went round on the guest's connection");
    process.type_line("finish")?;
    let checked = host.line(&process, "guest: checked")?;
    println!("{NEWS}{checked}");
    if !checked.starts_with("guest: checked, all right") {
        return Err(host.telling(checked));
    }
    host.end(&process)
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

/// Moves the guest that is in `source`; what it took.
fn migrate(source: &Process, uri: &str) -> Result<String, String> {
    let mut command = Command::new("/bin/landfall");
    command.arg("migrate").arg(&source.qmp).args([uri, "-o", "json"]).args(CONDITIONS);
    let said = output(&mut command)?;
    let report: Value = serde_json::from_str(&said)
        .map_err(|error| format!("the report cannot be read: {error}\n{said}"))?;
    let number = |key: &str| report[key].as_f64().unwrap_or(f64::NAN);
    if report["outcome"] != "completed" || report["integrity"] != "ok" {
        return Err(format!("the migration did not arrive as it should\n{report:#}"));
    }
    Ok(format!(
        "{:.1} s, {:.0} ms of downtime, {} passes",
        number("total_ms") / 1000.0,
        number("downtime_ms"),
        report["passes"]
    ))
}
