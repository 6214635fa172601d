//! A machine in a process of its own, and what the system says of that.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use landfall_converge::Bytes;

pub(crate) const LANDFALL: &str = env!("CARGO_BIN_EXE_landfall");
/// How long to wait before it is looked at again whether the guest has got so far.
const MOMENT: Duration = Duration::from_millis(10);

/// Its process ends with it.
pub(crate) struct Machine(Child);

impl Machine {
    /// Starts it, with its monitor at `socket`, and waits until that listens.
    pub(crate) fn start(socket: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(LANDFALL);
        command.args(["vm", "run"]).args(arguments).arg("--qmp").arg(socket);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut this = Self(command.spawn().unwrap());
        let mut lines = BufReader::new(this.0.stderr.take().unwrap()).lines();
        let mut said = lines.by_ref().map_while(Result::ok);
        assert!(
            said.any(|line| line.contains("the monitor listens")),
            "the machine does not start"
        );
        // What it says later must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        this
    }

    /// Waits until the guest has written to so much of its memory.
    pub(crate) fn has_touched(&self, bytes: Bytes) {
        while self.kibibytes("RssShmem:") < bytes.0 >> 10 {
            thread::sleep(MOMENT);
        }
    }

    /// What the process has beside guest memory, in KiB.
    pub(crate) fn of_its_own(&self) -> u64 {
        self.kibibytes("RssAnon:")
    }

    fn kibibytes(&self, key: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What it has taken of the processors, its guest included.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.read("stat");
        // The name, in brackets, may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // 100 a second, on every Linux there is.
        Duration::from_millis(ticks * 10)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
