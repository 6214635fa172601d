//! A lab machine: QEMU with an emulated processor that can run guests of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What a lab machine is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine<'a> {
    pub(super) qemu: &'static str,
    pub(super) kernel: &'a Path,
    pub(super) disk: &'a Path,
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

impl Machine<'_> {
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(self.qemu);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR]);
        command.args(["-smp", PROCESSORS, "-m", MEMORY, "-serial", "stdio"]);
        command.arg("-kernel").arg(self.kernel).arg("-initrd").arg(self.disk);
        // Nobody attacks a lab; what defends against it only costs time. What the kernel says does not tear lines apart,
        // except when it goes down.
        let words = format!("console=ttyS0 loglevel=1 panic=-1 mitigations=off {words}");
        command.arg("-append").arg(words);
        command
    }

    /// Gives the user a prompt in it, until the user leaves.
    pub(super) fn shell(&self) -> Result<(), String> {
        let status = self.command("lab=shell").status();
        ended_well(status.map_err(|error| format!("{} cannot be started: {error}", self.qemu))?)
    }

    /// Lets the trials run, or the one that is asked for, for `limit` at most, and shows what the machine prints.
    pub(super) fn run(&self, only: Option<&str>, limit: Duration) -> Result<(), String> {
        let words = only.map(|trial| format!("trial={trial}"));
        let mut command = self.command(&words.unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = Reaped(child.map_err(|error| format!("{}: {error}", self.qemu))?);
        let output = child.0.stdout.take().ok_or("QEMU has no output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).split(b'\n').map_while(Result::ok);
            let text = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.map(text).take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        let deadline = Instant::now() + limit;
        let mut verdict = None;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    println!("  {line}");
                    verdict = verdict_of(&line).or(verdict);
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("the lab has not ended after {} s", limit.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        ended_well(child.0.wait().map_err(|error| error.to_string())?)?;
        verdict
            .unwrap_or_else(|| Err("the lab machine went down before its trials ended".to_owned()))
    }
}

/// What a line says of the trials as a whole.
fn verdict_of(line: &str) -> Option<Result<(), String>> {
    match line.strip_prefix(FAILED) {
        Some(why) => Some(Err(why.to_owned())),
        None => (line == FINISHED).then_some(Ok(())),
    }
}

fn ended_well(status: ExitStatus) -> Result<(), String> {
    if status.success() { Ok(()) } else { Err(format!("QEMU ended with {status}")) }
}

/// A process that is ended and reaped, however this ends.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
