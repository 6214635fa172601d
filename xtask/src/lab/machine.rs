//! A lab machine: QEMU with an emulated processor that can run guests of its own.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::io::{FdFlags, fcntl_setfd};

/// What a lab machine is made of.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) qemu: &'static str,
    pub(super) kernel: &'a Path,
    /// Its initial RAM disk.
    pub(super) disk: &'a Path,
    /// What its guests have as their disk.
    pub(super) image: &'a Path,
    /// Its number, and its end of the wire to the other lab machine, if there is one.
    pub(super) wire: Option<(u8, OwnedFd)>,
}

/// The processor. XSAVE is left out since QEMU does not tell a hypervisor inside when its guest sets the mask of what is
/// saved, and five levels of page tables since they only make everything slower.
const PROCESSOR: &str = "max,-xsave,-la57";
/// With more than one, QEMU now and then gives a guest inside an interrupt twice, the second time when the guest has
/// interrupts switched off: what another processor asks for gets in between the injection and its end.
const PROCESSORS: &str = "1";
/// Enough for two guests and the disk, which is unpacked into it.
const MEMORY: &str = "2G";

/// What a line that is about the trials begins with.
pub(super) const NEWS: &str = "lab: ";
/// The last line when a trial has failed, with which one and why.
pub(super) const FAILED: &str = "lab: FAILED: ";
/// The last line when all is well.
pub(super) const FINISHED: &str = "lab: finished";
/// What one of two lab machines says when it waits for the other: the second to be asked for something, the first to begin.
pub(super) const READY: &str = "lab: ready";

impl Machine<'_> {
    /// Starts it with these words on its kernel's command line, and with this as its console. It has ended when what this
    /// gives is dropped.
    pub(super) fn start(self, words: &str, input: Stdio, output: Stdio) -> Result<Running, String> {
        let mut command = self.command(words)?;
        let child = command.stdin(input).stdout(output).spawn();
        child.map(Running).map_err(|error| format!("{} cannot be started: {error}", self.qemu))
    }

    fn command(&self, words: &str) -> Result<Command, String> {
        let mut command = Command::new(self.qemu);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR]);
        command.args(["-smp", PROCESSORS, "-m", MEMORY, "-serial", "stdio"]);
        command.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.disk);
        // Two machines write to one image, as hosts do to one disk of a storage network; it need not outlive this host.
        let image = self.image.display();
        let options = "format=raw,cache=unsafe,file.locking=off";
        command.args(["-drive", &format!("if=none,id=image,{options},file={image}")]);
        command.args(["-device", "virtio-blk-pci,drive=image,share-rw=on"]);
        let mut host = String::new();
        if let Some((number, end)) = &self.wire {
            let inherited = fcntl_setfd(end, FdFlags::empty());
            inherited.map_err(|error| format!("the wire cannot be passed on: {error}"))?;
            let end = end.as_raw_fd();
            let wire = format!("stream,id=wire,server=off,addr.type=fd,addr.str={end}");
            let card = format!("virtio-net-pci,netdev=wire,romfile=,mac=52:54:00:00:00:0{number}");
            command.args(["-netdev", &wire, "-device", &card]);
            host = format!("host={number} ");
        }
        // Nobody attacks a lab; what defends against it only costs time. What the kernel says does not tear lines apart,
        // except when it goes down.
        let words = format!("console=ttyS0 loglevel=1 panic=-1 mitigations=off {host}{words}");
        command.arg("-append").arg(words);
        Ok(command)
    }
}

/// A lab machine that runs. It is ended and reaped, however this ends.
#[derive(Debug)]
pub(super) struct Running(pub(super) Child);

impl Running {
    /// Waits for its end, which must be a good one.
    pub(super) fn end(&mut self) -> Result<(), String> {
        ended_well(self.0.wait().map_err(|error| error.to_string())?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ended_well(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("QEMU ended with {status}")) }
}
