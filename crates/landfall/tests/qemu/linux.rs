//! A Linux, as a distribution ships it, in a processor that QEMU emulates. Run by `cargo xtask test qemu-linux`, which
//! fetches it.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use landfall_qmp::{
    Capability, CapabilityState, Command, MigrationInfo, MigrationStatus, ParametersUpdate,
};
use tempfile::TempDir;

use crate::landfall::Pilot;
use crate::machine::{PATIENCE, Qemu, RETRY};

/// It writes some 600 MB a second.
const LINK: u64 = 40_000_000;
const LOOK: Duration = Duration::from_millis(50);
/// Left alone it takes half a minute on a host with nothing else to do.
const LONGEST: Duration = Duration::from_secs(120);

/// What a migration took, as QEMU tells it.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    total: Duration,
    stolen: Duration,
}

/// A QEMU with a Linux that writes, and one that waits for it.
#[derive(Debug)]
struct Pair {
    source: Qemu,
    destination: Qemu,
    folder: TempDir,
}

impl Pair {
    /// The guest runs at the source, and has written all that it writes.
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = |name: &str, incoming: Option<&str>| {
            Qemu::start(folder.path(), name, arguments(folder.path(), name), incoming)
        };
        let destination = machine("destination", Some(&uri(folder.path())));
        let source = machine("source", None);
        let this = Self { source, destination, folder };
        this.hear("source", "guest: 1\r");
        this
    }

    /// Has the migration begin, over a link that the guest outruns.
    fn begin(&mut self) {
        let auto_converge = CapabilityState { capability: Capability::AutoConverge, state: true };
        let link = ParametersUpdate { max_bandwidth: Some(LINK), ..Default::default() };
        let commands = [
            Command::MigrateSetCapabilities(vec![auto_converge]),
            Command::MigrateSetParameters(link),
            Command::Migrate { uri: uri(self.folder.path()) },
        ];
        for command in commands {
            self.source.client.execute(&command).unwrap();
        }
    }

    /// Follows the migration to its end, or until it has cost enough.
    fn follow(&mut self, enough: impl Fn(Cost) -> bool) -> Cost {
        let deadline = Instant::now() + LONGEST;
        let mut cost = Cost::default();
        loop {
            let info = self.source.migration();
            let now = info.total_time.map_or(cost.total, Duration::from_millis);
            let held = info.cpu_throttle_percentage.unwrap_or(0);
            cost.stolen += now.saturating_sub(cost.total).mul_f64(held as f64 / 100.0);
            cost.total = now;
            if info.status == MigrationStatus::Completed || enough(cost) {
                return cost;
            }
            assert!(!info.status.is_final() && Instant::now() < deadline, "{info:?}");
            std::thread::sleep(LOOK);
        }
    }

    fn console(&self, name: &str) -> PathBuf {
        self.folder.path().join(name).with_extension("log")
    }

    /// What the guest has said there.
    fn said(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.console(name)).unwrap_or_default()).into_owned()
    }

    fn hear(&self, name: &str, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said(name).contains(what) {
            assert!(Instant::now() < deadline, "it never said '{what}': {}", self.said(name));
            std::thread::sleep(RETRY);
        }
    }

    /// Types a word at its console, and leaves the console when the guest has read it: a guest waits for who does not
    /// listen.
    fn tell(&self, name: &str, word: &str) {
        let console = self.folder.path().join(name).with_extension("console");
        let mut console = UnixStream::connect(console).unwrap();
        writeln!(console, "{word}").unwrap();
        self.hear(name, &format!("told: {word}\r"));
    }

    /// The guest went on at the destination where it stopped at the source, and has lost nothing.
    fn assert_arrived(&mut self) {
        assert!(self.destination.is_running() && !self.source.is_running());
        self.tell("destination", "finish");
        self.hear("destination", "guest: whole");
        let said = self.said("source") + &self.said("destination");
        let counts: Vec<usize> = said
            .lines()
            .filter_map(|line| line.trim_end().strip_prefix("guest: ")?.parse().ok())
            .collect();
        assert!(counts.iter().copied().eq(1..=counts.len()), "{said}");
    }
}

fn uri(folder: &Path) -> String {
    format!("unix:{}", folder.join("migration").display())
}

fn arguments(folder: &Path, name: &str) -> Vec<String> {
    let given = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name}: cargo xtask test qemu-linux sets it"))
    };
    let at = |extension: &str| folder.join(name).with_extension(extension).display().to_string();
    let console = format!(
        "socket,id=console,path={},server=on,wait=off,logfile={}",
        at("console"),
        at("log")
    );
    let words = "console=ttyS0 loglevel=1 panic=-1 mitigations=off".to_owned();
    let machine = ["-accel", "tcg,thread=multi", "-machine", "pc", "-m", "256M", "-serial"];
    let files = [
        "chardev:console".to_owned(),
        "-chardev".to_owned(),
        console,
        "-kernel".to_owned(),
        given("LINUX_KERNEL"),
        "-initrd".to_owned(),
        given("LINUX_DISK"),
        "-append".to_owned(),
        words,
    ];
    machine.map(str::to_owned).into_iter().chain(files).collect()
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu-linux"]
fn a_linux_that_outruns_the_link_arrives_sooner_and_loses_less_than_when_qemu_is_left_alone() {
    let mut pair = Pair::start();
    let pilot = Pilot::beside(&pair.source.for_pilot);
    pair.begin();
    let steered = pair.follow(|_| false);
    let (code, report, said) = pilot.end();
    assert_eq!(code, 0, "{said}");
    assert!(report["max_throttle"].as_f64().unwrap() >= 0.95, "{report}");
    pair.assert_arrived();
    drop(pair);

    let mut pair = Pair::start();
    pair.begin();
    // To the end it would be three times as long, at four times the price.
    let far_more = |than: Cost, now: Cost| {
        now.total > than.total.mul_f64(1.5) && now.stolen > than.stolen.mul_f64(1.5)
    };
    let alone = pair.follow(|now| far_more(steered, now));
    println!("steered: {steered:?}; left alone, until that was told: {alone:?}");
    assert!(far_more(steered, alone), "steered: {steered:?}; left alone: {alone:?}");
}

#[test]
#[ignore = "needs QEMU: cargo xtask test qemu-linux"]
fn a_burst_that_ends_lets_a_linux_go_while_it_is_still_migrated() {
    let mut pair = Pair::start();
    // With a throttle under which it does not arrive as long as the burst lasts.
    let pilot = Pilot::with(&pair.source.for_pilot, &["--max-throttle", "30%"]);
    pair.begin();
    pair.source.wait_until("a throttle", |info| info.cpu_throttle_percentage == Some(30));
    // What is left of the burst is to take longer than QEMU needs to move its throttle.
    let slow = ParametersUpdate {
        max_bandwidth: Some(LINK / 4),
        downtime_limit: Some(Duration::from_millis(30)),
        ..Default::default()
    };
    pair.source.client.execute(&Command::MigrateSetParameters(slow)).unwrap();
    pair.tell("source", "slow");
    let let_go = |info: &MigrationInfo| {
        assert_eq!(info.status, MigrationStatus::Active, "it was held until it had arrived");
        info.cpu_throttle_percentage.is_some_and(|held| held <= 1)
    };
    pair.source.wait_until("the end of the throttle", let_go);
    let (code, report, said) = pilot.end();
    assert_eq!(code, 0, "{said}");
    assert_eq!(report["max_throttle"], 0.3, "{report}");
    pair.assert_arrived();
}
