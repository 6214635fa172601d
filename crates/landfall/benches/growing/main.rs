//! What moving a guest takes as it grows, as an operator moves it: between two processes, with default settings, over loopback. Beside the
//! time and the processors it tells what either process has of its own, beside guest memory.
//!
//! `cargo bench -p landfall --bench growing -- [SIZE[:FILLED]]... [ROUNDS]`, where FILLED of a guest of SIZE is full of what gets no
//! shorter, or nearly all. The medians stand in docs/performance.md.

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

use self::machine::{LANDFALL, Machine, THE_GUEST};

const SIZES: [&str; 5] = ["256MiB", "1GiB", "2GiB", "4GiB", "8GiB"];
const ROUNDS: u64 = 3;
/// How often it is looked at what the processes have.
const LOOK: Duration = Duration::from_millis(20);

/// A guest, and how much of its memory it has written to.
#[derive(Clone, Copy, Debug)]
struct Size {
    memory: Bytes,
    filled: Bytes,
}

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let (memory, filled) = match text.split_once(':') {
            Some((memory, filled)) => (memory.parse().ok()?, filled.parse().ok()?),
            None => {
                let memory: Bytes = text.parse().ok()?;
                (memory, Bytes(memory.0.saturating_sub(THE_GUEST)))
            }
        };
        Some(Self { memory, filled })
    }
}

/// One run.
struct Moved {
    seconds: f64,
    /// Of the processes themselves, and of the kernel for them.
    processor_seconds: [f64; 2],
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
    let titles =
        ["memory", "filled", "seconds", "GB/s", "CPU s a GiB", "in the kernel", "channels"];
    println!(
        "{}  {:>14} {:>16}",
        titles.map(|it| format!("{it:>15}")).concat(),
        "source, MiB",
        "destination, MiB"
    );
    for size in sizes {
        let runs: Vec<_> = (0..rounds).map(|_| moved(size)).collect();
        let median = |value: fn(&Moved) -> f64| median(runs.iter().map(value));
        let (seconds, gib) = (median(|run| run.seconds), size.memory.0 as f64 / f64::from(1 << 30));
        let kernel = median(|run| run.processor_seconds[1]);
        let figures = [
            size.memory.to_string(),
            size.filled.to_string(),
            format!("{seconds:.3}"),
            format!("{:.2}", median(|run| run.sent) / seconds / 1e9),
            format!("{:.2}", median(|run| run.processor_seconds.iter().sum()) / gib),
            format!("{:.2}", kernel / gib),
            median(|run| run.channels).to_string(),
        ];
        let source = [median(|run| run.source.0), median(|run| run.source.1)];
        let destination = [median(|run| run.destination.0), median(|run| run.destination.1)];
        let own = [source, destination].map(|[before, most]| format!("{before:.1} to {most:.1}"));
        println!(
            "{}  {:>14} {:>16}",
            figures.map(|it| format!("{it:>15}")).concat(),
            own[0],
            own[1]
        );
    }
}

fn moved(size: Size) -> Moved {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uri = format!("tcp:127.0.0.1:{port}");
    let memory = format!("{}B", size.memory.0);
    let guest = ["--probe", "read-only,rate=1MB/s,working-set=1MiB", "--memory", &memory];
    let source = Machine::start(&at("source"), &guest);
    let destination = Machine::start(&at("destination"), &["--incoming", &uri]);
    source.fill(size.filled);

    let before = (source.of_its_own(), destination.of_its_own());
    let processors = || [source.processor_time(), destination.processor_time()];
    let processors_before = processors();
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
        let output = migrate.stdin(Stdio::null()).output().unwrap();
        ended.store(true, Ordering::Relaxed);
        let said = String::from_utf8_lossy(&output.stderr);
        let report: Report = serde_json::from_slice(&output.stdout).expect(&said);
        (report, looking.join().unwrap())
    });
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    let after = processors();
    let took = [0, 1].map(|part| {
        let of = |both: [[Duration; 2]; 2]| both.iter().map(|end| end[part]).sum::<Duration>();
        (of(after) - of(processors_before)).as_secs_f64()
    });
    let mebibytes = |before: u64, most: u64| (before as f64 / 1024.0, most as f64 / 1024.0);
    Moved {
        seconds: report.total_ms / 1000.0,
        processor_seconds: took,
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
