//! Where guests are moved to: addresses, waiting destinations, and those who watch.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use landfall_converge::{ByteRate, Limits, Policy};
use landfall_migrate::machine::Source as _;
use landfall_migrate::options::{Options, Security, Uri};
use landfall_migrate::progress::{Observer, Phase, Unobserved};
use landfall_migrate::report::Report;
use landfall_migrate::{Arrival, Handle, Listener, ReceiveError, control, migrate_out};

use crate::guest::{Guest, Machine, TestHost};

/// A folder that goes away with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("landfall-{}-{count}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn socket(&self, name: &str) -> Uri {
        Uri::Unix(self.0.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A destination that waits on a thread of its own.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) handle: Handle,
    pub(crate) uri: Uri,
    thread: JoinHandle<(Result<Arrival, ReceiveError>, TestHost)>,
}

impl Waiting {
    pub(crate) fn at(uri: &Uri) -> Self {
        Self::with_host(uri, TestHost::default())
    }

    pub(crate) fn with_host(uri: &Uri, host: TestHost) -> Self {
        Self::secured(uri, &Security::default(), host)
    }

    pub(crate) fn secured(uri: &Uri, security: &Security, host: TestHost) -> Self {
        Self::behind(Listener::bind(uri, security).unwrap(), host)
    }

    /// One that takes a source that is silent for so long to be lost.
    pub(crate) fn with_patience(uri: &Uri, patience: Duration) -> Self {
        let listener = Listener::bind(uri, &Security::default()).unwrap();
        Self::behind(listener.with_source_timeout(patience), TestHost::default())
    }

    fn behind(listener: Listener, mut host: TestHost) -> Self {
        let uri = listener.uri();
        let (handle, control) = control();
        let thread = thread::spawn(move || {
            let arrival = listener.accept_migration(&mut host, &control);
            (arrival, host)
        });
        Self { handle, uri, thread }
    }

    /// What came in, and the guest that was built for it.
    pub(crate) fn outcome(self) -> (Result<Arrival, ReceiveError>, Option<Arc<Guest>>) {
        let (arrival, host) = self.thread.join().unwrap();
        (arrival, host.built)
    }

    /// The guest that came in and runs.
    pub(crate) fn arrived(self) -> Arc<Guest> {
        let (arrival, guest) = self.outcome();
        assert!(!arrival.unwrap().in_doubt);
        guest.unwrap()
    }

    /// Nothing came in, and nothing was left running.
    pub(crate) fn assert_nothing(self) -> ReceiveError {
        let (arrival, guest) = self.outcome();
        if let Some(guest) = guest {
            assert!(!guest.is_running());
        }
        arrival.unwrap_err()
    }
}

/// A migration to `uri` over a slow link, for guests that write faster than that. One that does not arrive says why.
pub(crate) fn narrow(uri: &Uri, policy: Policy) -> Options {
    let time_limit = Some(Duration::from_secs(60));
    let max_downtime = Duration::from_millis(100);
    Options {
        policy,
        limits: Limits { max_downtime, time_limit, ..Limits::default() },
        max_bandwidth: Some(ByteRate::new(60e6)),
        peer_timeout: Duration::from_secs(20),
        ..Options::to(uri.clone())
    }
}

/// A migration on a thread of its own.
#[derive(Debug)]
pub(crate) struct UnderWay {
    pub(crate) handle: Handle,
    phases: Receiver<(Phase, u32)>,
    thread: JoinHandle<Report>,
}

impl UnderWay {
    pub(crate) fn begin(guest: &Arc<Guest>, options: Options) -> Self {
        let mut machine = Machine::of(guest);
        let (handle, control) = control();
        let (told, phases) = channel();
        let thread = thread::spawn(move || {
            migrate_out(&mut machine, &options, control, &mut Watcher { told, pass: 0 })
        });
        Self { handle, phases, thread }
    }

    /// Returns once the migration has come to `phase`, or in it to pass `pass`.
    pub(crate) fn wait_for(&self, phase: Phase, pass: u32) {
        for (reached, at) in &self.phases {
            if reached >= phase && at >= pass {
                return;
            }
        }
        panic!("it ended before {phase:?}, pass {pass}");
    }

    pub(crate) fn report(self) -> Report {
        self.thread.join().unwrap()
    }
}

struct Watcher {
    told: Sender<(Phase, u32)>,
    pass: u32,
}

impl Observer for Watcher {
    fn pass(&mut self, pass: u32) {
        self.pass = pass;
    }

    fn progress(&mut self, progress: &landfall_migrate::progress::Progress) {
        let _ = self.told.send((progress.phase, self.pass));
    }
}

/// Moves `guest` and returns when that is over.
pub(crate) fn migrate(guest: &Arc<Guest>, options: &Options) -> Report {
    let mut machine = Machine::of(guest);
    let (_handle, control) = control();
    let report = migrate_out(&mut machine, options, control, &mut Unobserved);
    assert_eq!(report.machine, machine.kind());
    report
}
