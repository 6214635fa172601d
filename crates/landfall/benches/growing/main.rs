//! What moving a guest takes as it grows, as an operator moves it: between two processes, with default settings, over loopback. Beside the
//! time and the processors it tells what either process has of its own, beside guest memory.
//!
//! `cargo bench -p landfall --bench growing -- [SIZE[:TOUCHED]]... [ROUNDS]`, where a guest of SIZE has written to TOUCHED of it, or to
//! nearly all. The medians stand in docs/performance.md.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing else to tell than where"
)]

mod machine;

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use landfall_converge::Bytes;
use landfall_migrate::report::{Outcome, Report};

use self::machine::{LANDFALL, Machine};

/// What a guest has that was not asked to write to all of its memory.
const LEFT_ALONE: u64 = 16 << 20;
const SIZES: [&str; 5] = ["256MiB", "1GiB", "2GiB", "4GiB", "8GiB"];
const ROUNDS: u64 = 3;
/// How often it is looked at what the processes have.
const LOOK: Duration = Duration::from_millis(20);

/// A guest, and how much of its memory it has written to.
#[derive(Clone, Copy, Debug)]
struct Size {
    memory: Bytes,
    touched: Bytes,
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (memory, touched) = match text.split_once(':') {
            Some((memory, touched)) => (memory.parse().ok()?, touched.parse().ok()?),
            None => {
                let memory: Bytes = text.parse().ok()?;
                (memory, Bytes(memory.0.saturating_sub(LEFT_ALONE)))
            }
        };
        Some(Self { memory, touched })
    }
}

/// One run.
struct Moved {
    seconds: f64,
    processor_seconds: f64,
    sent: f64,
    channels: f64,
    /// Before, and at most.
    source: (f64, f64),
    destination: (f64, f64),
}

fn main() {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let rounds = given.iter().find_map(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let sizes: Vec<_> = given.iter().filter_map(|text| Size::parse(text)).collect();
    let sizes = if sizes.is_empty() {
        SIZES.iter().filter_map(|it| Size::parse(it)).collect()
    } else {
        sizes
    };
    println!(
        "{:>8} {:>8} {:>9} {:>6} {:>12} {:>12} {:>8} {:>16} {:>16}",
        "memory",
        "touched",
        "seconds",
        "GB/s",
        "sent",
        "CPU s a GiB",
        "channels",
        "source, MiB",
        "destination, MiB"
    );
    for size in sizes {
        let runs: Vec<_> = (0..rounds).map(|_| moved(size)).collect();
        let median = |value: fn(&Moved) -> f64| median(runs.iter().map(value));
        let (seconds, gib) = (median(|run| run.seconds), size.memory.0 as f64 / f64::from(1 << 30));
        println!(
            "{:>8} {:>8} {seconds:>9.3} {:>6.2} {:>12} {:>12.2} {:>8} {:>16} {:>16}",
            size.memory.to_string(),
            size.touched.to_string(),
            median(|run| run.sent) / seconds / 1e9,
            format!("{:.3} GiB", median(|run| run.sent) / f64::from(1 << 30)),
            median(|run| run.processor_seconds) / gib,
            median(|run| run.channels),
            format!("{:.1} to {:.1}", median(|run| run.source.0), median(|run| run.source.1)),
            format!(
                "{:.1} to {:.1}",
                median(|run| run.destination.0),
                median(|run| run.destination.1)
            ),
        );
    }
}

fn moved(size: Size) -> Moved {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("tcp:127.0.0.1:{port}");
    let workload = format!("read-only,rate=1MB/s,working-set={}B", size.touched.0);
    let memory = format!("{}B", size.memory.0);
    let guest = ["--probe", &workload, "--memory", &memory];
    let source = Machine::start(&at("source"), &guest);
    let destination = Machine::start(&at("destination"), &["--incoming", &uri]);
    source.has_touched(size.touched);

    let before = (source.of_its_own(), destination.of_its_own());
    let processors = source.processor_time() + destination.processor_time();
    let ended = AtomicBool::new(false);
    let (report, most) = thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut most = before;
            while !ended.load(Ordering::Relaxed) {
                most.0 = most.0.max(source.of_its_own());
                most.1 = most.1.max(destination.of_its_own());
                thread::sleep(LOOK);
            }
            most
        });
        let mut migrate = Command::new(LANDFALL);
        migrate.arg("migrate").arg(at("source")).args([&uri, "-o", "json"]);
        let output = migrate.stderr(Stdio::inherit()).output().unwrap();
        ended.store(true, Ordering::Relaxed);
        let report: Report = serde_json::from_slice(&output.stdout).unwrap();
        (report, looking.join().unwrap())
    });
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    let took = source.processor_time() + destination.processor_time() - processors;
    let mebibytes = |before: u64, most: u64| (before as f64 / 1024.0, most as f64 / 1024.0);
    Moved {
        seconds: report.total_ms / 1000.0,
        processor_seconds: took.as_secs_f64(),
        sent: report.sent_bytes as f64,
        channels: f64::from(report.channels),
        source: mebibytes(before.0, most.0),
        destination: mebibytes(before.1, most.1),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
