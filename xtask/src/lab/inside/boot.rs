//! The life of a guest, but for its moves: its beginning, its word that it is there, and its end.

use super::host::{Host, Process};
use super::place::Place;
use crate::lab::machine::NEWS;

/// Little more than the kernel and the guest's work need: all of it is sent, and read once more for the digest.
pub(super) const MEMORY_MIB: u64 = 112;
/// The disk of the guests: one of the lab machine's own, which it shares with the other one.
pub(super) const DISK: &str = "/dev/vda";
/// Their network card.
const CARD: &str = "tap=tap0,mac=52:54:00:12:34:56";

/// Boots a guest that is to do `work`, and waits for its first words.
pub(super) fn boot(host: &mut Host, work: &str, disk: &str) -> Result<Process, String> {
    boot_with(host, work, disk, &[])
}

/// The same with more about the guest.
pub(super) fn boot_with(
    host: &mut Host,
    work: &str,
    disk: &str,
    more: &[&str],
) -> Result<Process, String> {
    // What is of no use any more is full of zeros, and hardly takes anything to move; so pages cost now more and now less.
    let command_line = format!("console=ttyS0 loglevel=1 panic=-1 init_on_free=1 lab={work}");
    let files = ["--kernel", "/boot/vmlinuz", "--initrd", "/boot/guest"];
    let memory = format!("{MEMORY_MIB}MiB");
    let size = ["--machine", "kvm", "--cpus", "2", "--memory", &memory];
    let own = ["--cmdline", &command_line, "--disk", disk, "--net", CARD];
    let arguments = [&files[..], &size, &own, more].concat();
    let process = host.start(Place::Here, &arguments)?;
    let up = host.line(&process, "guest: up")?;
    if up.ends_with("with 2 processors, time by kvm-clock") {
        Ok(process)
    } else {
        Err(host.telling(format!("it is not what was asked for: {up}")))
    }
}

/// Asks the guest in `process` whether it is there, and waits for its answer.
pub(super) fn is_there(host: &mut Host, process: &mut Process, number: u16) -> Result<(), String> {
    process.type_line(&format!("is it there after {number}?"))?;
    host.line(process, &format!("guest: is it there after {number}?")).map(drop)
}

/// Lets a guest come to its end, and hears what it has found.
pub(super) fn finish(host: &mut Host, mut process: Process) -> Result<(), String> {
    process.type_line("finish")?;
    let checked = host.line(&process, "guest: checked")?;
    println!("{NEWS}{checked}");
    if !checked.starts_with("guest: checked, all right") {
        return Err(host.telling(checked));
    }
    host.end(&process)
}

/// Another guest reads the disk that the one before has left.
pub(super) fn read(host: &mut Host) -> Result<(), String> {
    let process = boot(host, "read", &format!("{DISK},readonly"))?;
    let found = host.line(&process, "guest: ")?;
    println!("{NEWS}{found}");
    if found != "guest: read 8 files" {
        return Err(host.telling(found));
    }
    host.end(&process)
}
