//! A machine in a process of its own, and what the system says of that.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use landfall_converge::Bytes;
use landfall_vmm::probe::CODE_ADDRESS;

pub(crate) const LANDFALL: &str = env!("CARGO_BIN_EXE_landfall");
/// Where the guest's program and what it works with end.
pub(crate) const THE_GUEST: u64 = 64 << 20;
const PIECE: u64 = 1 << 20;

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

    /// Fills so much of the guest's memory with what gets no shorter, but for the part that the guest itself is in.
    pub(crate) fn fill(&self, bytes: Bytes) {
        let mut left = bytes.0;
        let mut from = THE_GUEST;
        for file in self.memory() {
            let length = file.metadata().unwrap().len();
            while from < length && left > 0 {
                let piece = PIECE.min(length - from).min(left);
                let noise: Vec<u8> =
                    (0..piece / 8).flat_map(|_| fastrand::u64(..).to_le_bytes()).collect();
                file.write_all_at(&noise, from).unwrap();
                (from, left) = (from + piece, left - piece);
            }
            from = 0;
        }
        assert_eq!(left, 0, "the guest has less memory than is to be filled");
    }

    /// The files that the guest's memory is in: that with its program, below the hole for devices, and then the one above.
    fn memory(&self) -> Vec<File> {
        let folder = format!("/proc/{}/fd", self.0.id());
        let is_memory = |path: &PathBuf| {
            std::fs::read_link(path)
                .is_ok_and(|link| link.to_string_lossy().contains("memfd:landfall-guest"))
        };
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let open = |path| File::options().read(true).write(true).open(path).unwrap();
        let mut files: Vec<_> = paths.filter(is_memory).map(open).collect();
        files.sort_by_key(|file| {
            let mut code = [0; 64];
            file.read_exact_at(&mut code, CODE_ADDRESS).unwrap();
            code == [0; 64]
        });
        files
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

    /// What it has taken of the processors, its guest included: for itself, and in the kernel.
    pub(crate) fn processor_time(&self) -> [Duration; 2] {
        let stat = self.read("stat");
        // The name, in brackets, may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // 100 a second, on every Linux there is.
        [11, 12].map(|field| Duration::from_millis(fields[field].parse::<u64>().unwrap() * 10))
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
