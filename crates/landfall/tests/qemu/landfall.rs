//! The program under test.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::machine::PATIENCE;

fn program() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_landfall")]);
    command.env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str], socket: &Path) -> Output {
    program().arg(arguments[0]).arg(socket).args(&arguments[1..]).output().unwrap()
}

/// The report on its standard output stream.
pub(crate) fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// A pilot at work.
#[derive(Debug)]
pub(crate) struct Pilot {
    child: Child,
    said: BufReader<ChildStderr>,
}

impl Pilot {
    /// Starts it, and returns once it has looked at its QEMU.
    pub(crate) fn beside(socket: &Path) -> Self {
        Self::with(socket, &[])
    }

    /// The same, with these flags.
    pub(crate) fn with(socket: &Path, flags: &[&str]) -> Self {
        let mut command = program();
        command.arg("pilot").arg(socket).args(["-o", "json"]).args(flags);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut this = Self { child, said };
        this.hear("waiting for a migration");
        this
    }

    /// Returns when it has said so.
    pub(crate) fn hear(&mut self, what: &str) {
        let mut line = String::new();
        while !line.contains(what) {
            line.clear();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "it never said '{what}'");
        }
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        send("INT", self.child.id());
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its exit code and its report, and what else it said. It is ended when it does not end by itself.
    pub(crate) fn end(mut self) -> (i32, Value, String) {
        let id = self.child.id();
        let (ended, end) = mpsc::channel();
        let warden = thread::spawn(move || {
            let late = end.recv_timeout(PATIENCE).is_err();
            if late {
                send("KILL", id);
            }
            late
        });
        let mut said = String::new();
        self.said.read_to_string(&mut said).unwrap();
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        ended.send(()).unwrap();
        assert!(!warden.join().unwrap(), "it does not end: {}", tail(&said));
        let status = self.child.wait().unwrap();
        (status.code().unwrap(), serde_json::from_str(&out).unwrap_or_default(), said)
    }
}

fn send(signal: &str, id: u32) {
    let status = Command::new("kill").args(["-s", signal, &id.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The last lines.
fn tail(said: &str) -> &str {
    said.rmatch_indices('\n').nth(10).map_or(said, |(at, _)| &said[at..])
}
