//! A guest in one process, and processes to move it to.

use std::path::{Path, PathBuf};

use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::RunState;
use tempfile::TempDir;

use crate::machine::{How, Machine, WIDE};
use crate::proxy::{Fault, Moment, Proxy};

/// What runs at the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest {
    pub(crate) probe: &'static str,
    pub(crate) memory: &'static str,
    pub(crate) cpus: &'static str,
}

/// Rewrites a quarter of its memory as fast as it can.
pub(crate) const BUSY: Guest =
    Guest { probe: "sweep,working-set=16MiB", memory: "64MiB", cpus: "1" };

/// A guest at its source, and a place for the sockets of all who take part.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) source: Machine,
    directory: TempDir,
    /// Destinations so far.
    destinations: u32,
}

/// A process that waits for the guest.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) machine: Machine,
    pub(crate) socket: PathBuf,
}

impl Destination {
    pub(crate) fn uri(&self) -> String {
        uri(&self.socket)
    }
}

pub(crate) fn uri(socket: &Path) -> String {
    format!("unix:{}", socket.display())
}

impl Pair {
    /// Starts `guest`, and waits until it has been over its working set.
    pub(crate) fn of(guest: Guest) -> Self {
        let directory = TempDir::with_prefix("landfall-").unwrap();
        let Guest { probe, memory, cpus } = guest;
        let arguments = ["--probe", probe, "--memory", memory, "--cpus", cpus, "--machine", "auto"];
        let mut source = Machine::start("source", directory.path(), &arguments);
        let vm = source.vm();
        println!("the guest's machine: {} {}", vm.machine, vm.machine_reason.unwrap_or_default());
        source.until("the first lap", |source| (source.vm().laps? >= 1.0).then_some(()));
        Self { source, directory, destinations: 0 }
    }

    /// The path of a socket of this name.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Another machine, started with `arguments`.
    pub(crate) fn machine(&self, role: &str, arguments: &[&str]) -> Machine {
        Machine::start(role, self.directory.path(), arguments)
    }

    /// A fresh destination.
    pub(crate) fn destination(&mut self) -> Destination {
        self.destination_by(Machine::start)
    }

    /// One whose process may not have much memory.
    pub(crate) fn small_destination(&mut self) -> Destination {
        self.destination_by(Machine::start_small)
    }

    fn destination_by(&mut self, start: fn(&str, &Path, &[&str]) -> Machine) -> Destination {
        self.destinations += 1;
        let role = format!("destination-{}", self.destinations);
        let socket = self.socket(&role);
        let arguments = ["--incoming", &uri(&socket)];
        Destination { machine: start(&role, self.directory.path(), &arguments), socket }
    }

    /// Begins a migration to `destination` in which something happens.
    pub(crate) fn migrate_with(
        &mut self,
        destination: &Destination,
        how: How,
        moment: Moment,
        fault: Fault,
    ) -> Proxy {
        let here = destination.socket.with_extension("proxy");
        let proxy = Proxy::between(&here, &destination.socket, moment, fault);
        self.source.migrate(uri(&here), &how);
        proxy
    }

    /// The guest is where it was and as it was, and can still be moved: to a fresh destination.
    pub(crate) fn assert_unharmed(mut self) {
        self.source.assert_runs();
        self.assert_arrives();
    }

    /// Moves the guest to a fresh destination, and looks after it there.
    pub(crate) fn assert_arrives(&mut self) {
        let mut destination = self.destination();
        self.source.migrate(destination.uri(), &WIDE);
        let report = self.source.report();
        assert_completed(&report);
        self.source.assert_stands_still();
        assert_eq!(self.source.status(), RunState::Postmigrate);
        assert_arrived(&mut destination.machine);
    }
}

/// The destination hears of the commit just before the source hears that it runs; its own monitor may lag behind both.
pub(crate) fn assert_arrived(destination: &mut Machine) {
    destination.until("the guest", |machine| (machine.status() == RunState::Running).then_some(()));
    destination.assert_runs();
}

pub(crate) fn assert_completed(report: &Report) {
    assert_eq!(report.outcome, Outcome::Completed, "{:?}", report.reason);
    assert_eq!(report.integrity, "ok");
}

/// The guest was given away only because what was left of it still fitted into the downtime allowed.
///
/// How long it took in the end is up to the host, too: `cargo xtask compare` measures that.
pub(crate) fn assert_switched_over_in_time(report: &Report) {
    let (predicted, limit) = (report.predicted_downtime_ms, report.downtime_limit_ms);
    assert!(predicted > 0.0 && predicted <= limit, "{report:?}");
    assert!(report.downtime_ms > 0.0, "{report:?}");
}

/// The migration ended with `outcome`, and says why in these words.
pub(crate) fn assert_ended(report: &Report, outcome: Outcome, words: &str) {
    let reason = report.reason.as_deref().unwrap_or_default();
    assert_eq!(report.outcome, outcome, "{reason}");
    assert!(reason.contains(words), "'{words}' is not in: {reason}");
}
