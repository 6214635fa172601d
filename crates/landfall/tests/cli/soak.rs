//! Daemons that are killed at any moment, and a guest that runs exactly once all the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use landfall_node::client::{Client, ClientError};
use landfall_node::model::{MigrationId, MigrationState, MigrationView, VmState, VmView};
use landfall_node::process::ProcessId;
use landfall_node::trust::Trust;
use landfall_qmp::{Client as Monitor, Command, GuestCheck, RunState, StatusInfo};
use serde_json::{Value, json};

use crate::daemon::Hosts;

/// How many kills there are where nobody says how many.
const KILLS: u64 = 20;
/// Far more than it takes to settle anything; whoever waits longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before looking again.
const MOMENT: Duration = Duration::from_millis(10);
/// A migration of this guest is over by then, most of the time.
const A_WHILE_MS: u64 = 170;
const GUEST: &str = "workload = 'sweep'\nworking_set = '16MiB'\nrate = '200MB/s'";
const NAMES: [&str; 2] = ["a", "b"];

/// Two hosts, one guest, and what was done to the daemons.
struct Soak {
    hosts: Hosts,
    random: fastrand::Rng,
    kills: u64,
    /// How far migrations had come when a daemon was killed.
    seen: BTreeMap<&'static str, u64>,
    /// How migrations have ended.
    ends: BTreeMap<&'static str, u64>,
    /// How much the guest had done when it was last asked.
    work: u64,
    /// The migration of the round before, on each host.
    before: BTreeMap<&'static str, MigrationId>,
}

#[test]
fn whichever_daemon_is_killed_whenever_the_guest_runs_exactly_once() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("LANDFALL_SOAK_KILLS").unwrap_or(KILLS);
    let seed = number("LANDFALL_SOAK_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    let mut soak = Soak::start(seed);
    while soak.kills < kills {
        soak.round();
    }
    println!("{} kills; found {:?}, ended {:?}", soak.kills, soak.seen, soak.ends);
    assert!(soak.ends.contains_key("arrived"), "none has arrived: {:?}", soak.ends);
}

impl Soak {
    fn start(seed: u64) -> Self {
        let hosts = Hosts::certified();
        hosts.guest("a", "web1", GUEST);
        let random = fastrand::Rng::with_seed(seed);
        let (seen, ends, before) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { hosts, random, kills: 0, seen, ends, work: 0, before }
    }

    /// One migration, during which daemons are killed.
    fn round(&mut self) {
        let source = self.settled();
        let target = if source == "a" { "b" } else { "a" };
        let client = self.client(source);
        let rate = self.random.u64(50..500) * 1_000_000;
        let settings = json!({ "bandwidth_bytes_per_second": rate });
        let wanted = json!({ "target": target, "settings": settings });
        let asking =
            thread::spawn(move || client.post::<MigrationView>("vms/web1/migrations", &wanted));
        for _ in 0..self.random.u32(1..=3) {
            thread::sleep(Duration::from_millis(self.random.u64(0..A_WHILE_MS)));
            if self.random.u32(0..8) == 0 {
                self.cancel(source);
            }
            self.kill(source);
        }
        let asked = asking.join().unwrap();
        // The daemon may have been killed before it could answer, or the target while it was looked at.
        if let Err(ClientError::Refused { check: None, status, detail }) = asked {
            assert!([409, 502].contains(&status), "{status}: {detail}");
        }
        let ends_on = self.settled();
        if let Some(migration) = self.begun(source) {
            let arrived = migration.state == MigrationState::Completed;
            assert_eq!(arrived, ends_on == target, "the record says {migration:?}");
            *self.ends.entry(migration.state.name()).or_default() += 1;
            self.before.insert(source, migration.id);
        }
    }

    /// The migration of this round, once it is written down.
    fn begun(&self, source: &str) -> Option<MigrationView> {
        let known: Vec<MigrationView> = self.client(source).get("migrations").ok()?;
        known.into_iter().next().filter(|last| Some(&last.id) != self.before.get(source))
    }

    /// Kills one of the daemons, or both, and starts them again.
    fn kill(&mut self, source: &str) {
        let state = self.begun(source).map(|migration| migration.state.name());
        *self.seen.entry(state.unwrap_or("not begun")).or_default() += 1;
        let victims: &[&str] = match self.random.u32(0..5) {
            0 | 1 => &["a"],
            2 | 3 => &["b"],
            _ => &["b", "a"],
        };
        for victim in victims {
            self.hosts.kill(victim);
            self.kills += 1;
        }
        thread::sleep(Duration::from_millis(self.random.u64(0..A_WHILE_MS / 4)));
        for victim in victims {
            self.hosts.daemon(victim, &[]);
        }
    }

    fn cancel(&self, source: &str) {
        if let Some(begun) = self.begun(source) {
            // It may be over already.
            let path = format!("migrations/{}/cancel", begun.id);
            let _ = self.client(source).post::<Value>(&path, &());
        }
    }

    fn client(&self, name: &str) -> Client {
        let token = std::fs::read_to_string(self.hosts.data(name).join("token")).unwrap();
        let authority = self.hosts.path().join("ca/ca.pem");
        let trust = Trust { authority, name: Some(name.parse().unwrap()) };
        Client::new(&self.hosts.url(name), token.trim(), Some(&trust)).unwrap()
    }

    /// Waits until nothing is open any more, and says on which host the guest runs: as its process says, as it finds
    /// itself, and as both daemons know.
    fn settled(&mut self) -> &'static str {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.never_twice();
            match self.look() {
                Ok(host) => {
                    self.whole(host);
                    return host;
                }
                Err(open) if Instant::now() > deadline => panic!("it does not settle: {open}"),
                Err(_) => thread::sleep(MOMENT),
            }
        }
    }

    /// Where the guest is, or what is still open.
    fn look(&self) -> Result<&'static str, String> {
        let mut here = Vec::new();
        for name in NAMES {
            let client = self.client(name);
            let told = |error: ClientError| format!("{name}: {error}");
            let migrations: Vec<MigrationView> = client.get("migrations").map_err(told)?;
            if let Some(open) = migrations.iter().find(|it| !it.state.is_final()) {
                return Err(format!("{:?}", open));
            }
            let vms: Vec<VmView> = client.get("vms").map_err(told)?;
            match vms.first().map(|vm| (vm.state, vm)) {
                Some((VmState::Running, vm)) => here.push((name, vm.pid)),
                Some((VmState::Away, _)) | None => {}
                Some((_, vm)) => return Err(format!("{name}: {vm:?}")),
            }
        }
        let processes: Vec<_> = self.machines().iter().map(|it| Some(it.pid)).collect();
        match here.as_slice() {
            [(name, pid)] if processes == [*pid] => Ok(name),
            _ => Err(format!("known to run: {here:?}; processes: {processes:?}")),
        }
    }

    fn monitor(&self, name: &str) -> PathBuf {
        self.hosts.data(name).join("machines/web1/qmp")
    }

    fn runs(&self, name: &str) -> bool {
        let asked = Monitor::connect(self.monitor(name), PATIENCE)
            .and_then(|mut monitor| monitor.query::<StatusInfo>(&Command::QueryStatus));
        asked.is_ok_and(|told| told.status == RunState::Running)
    }

    /// No guest comes back in the time between two questions, so one that ran before and after the other did ran with it.
    fn never_twice(&self) {
        let twice = self.runs("a") && self.runs("b") && self.runs("a");
        assert!(!twice, "the guest runs on both hosts");
    }

    /// The guest is as it left itself, and goes on from where it was.
    fn whole(&mut self, host: &str) {
        let mut monitor = Monitor::connect(self.monitor(host), PATIENCE).unwrap();
        let check: GuestCheck = monitor.query(&Command::CheckGuest).unwrap();
        assert_eq!(check.integrity, "ok", "{check:?}");
        let work = check.vcpus.iter().map(|vcpu| vcpu.work).sum();
        assert!(work >= self.work, "an old copy runs: {work} pages written after {}", self.work);
        self.work = work;
    }

    /// The processes of machines on both hosts.
    fn machines(&self) -> Vec<ProcessId> {
        let folder = self.hosts.path().join("").display().to_string();
        let is_one = |words: &str| words.contains("\0vm\0run\0") && words.contains(&folder);
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let found = processes.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let words = std::fs::read(entry.path().join("cmdline")).ok()?;
            is_one(&String::from_utf8_lossy(&words)).then(|| ProcessId::of(pid))?
        });
        found.collect()
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        if thread::panicking() {
            // What a daemon has lost sight of nobody else would end.
            self.machines().into_iter().for_each(ProcessId::kill);
        }
    }
}
