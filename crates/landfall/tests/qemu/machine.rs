//! Two QEMUs, and a guest in one of them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use landfall_qmp::{
    Client, ClientError, Command as Qmp, MigrationInfo, ParametersUpdate, StatusInfo,
};
use serde_json::Value;
use tempfile::TempDir;

use crate::probe::Guest;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const RETRY: Duration = Duration::from_millis(10);

/// A QEMU process; killed and reaped when dropped, and by the kernel should the test die.
#[derive(Debug)]
pub(crate) struct Qemu {
    child: Child,
    /// The test's own monitor; a pilot has another.
    pub(crate) client: Client,
    pub(crate) for_pilot: PathBuf,
    pub(crate) held: PathBuf,
}

impl Qemu {
    /// Starts one with these arguments, which say what is in it.
    pub(crate) fn start<S: AsRef<OsStr>>(
        folder: &Path,
        name: &str,
        machine: impl IntoIterator<Item = S>,
        incoming: Option<&str>,
    ) -> Self {
        let (held, for_pilot) = (folder.join(name), folder.join(name).with_extension("pilot"));
        let listen = |path: &Path| format!("unix:{},server=on,wait=off", path.display());
        let mut command = Command::new("setpriv");
        let qemu = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
        command.args(["--pdeathsig", "KILL", "--"]).arg(qemu);
        command.args(["-nodefaults", "-no-user-config", "-display", "none"]).args(machine);
        command.args(["-qmp", &listen(&held), "-qmp", &listen(&for_pilot)]);
        if let Some(uri) = incoming {
            command.args(["-incoming", uri]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("setpriv is a part of util-linux");
        let deadline = Instant::now() + PATIENCE;
        let client = loop {
            match Client::connect(&held, PATIENCE) {
                Ok(client) => break client,
                Err(ClientError::NoSocket(_) | ClientError::NobodyListens(_)) => {
                    assert!(Instant::now() < deadline, "QEMU does not start");
                    std::thread::sleep(RETRY);
                }
                Err(error) => panic!("{error}"),
            }
        };
        Self { child, client, for_pilot, held }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn wait_for_its_end(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(RETRY);
        }
    }

    /// What `query-migrate-parameters` and `query-migrate-capabilities` say.
    pub(crate) fn settings(&mut self) -> (Value, Value) {
        let parameters = self.client.execute(&Qmp::QueryMigrateParameters).unwrap();
        (parameters, self.client.execute(&Qmp::QueryMigrateCapabilities).unwrap())
    }

    pub(crate) fn migration(&mut self) -> MigrationInfo {
        self.client.query(&Qmp::QueryMigrate).unwrap()
    }

    pub(crate) fn wait_until(&mut self, what: &str, reached: impl Fn(&MigrationInfo) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let info = self.migration();
            if reached(&info) {
                return;
            }
            assert!(Instant::now() < deadline, "{what} does not come: {info:?}");
            std::thread::sleep(RETRY);
        }
    }

    /// Until the guest is held as hard as the pilot lets QEMU hold it.
    pub(crate) fn wait_for_a_throttle(&mut self) {
        self.wait_until("a throttle", |info| info.cpu_throttle_percentage == Some(95));
    }

    /// Has so few bytes leave a second that the migration under way does not end by itself.
    pub(crate) fn hold_up(&mut self) {
        let slow = ParametersUpdate { max_bandwidth: Some(1_000_000), ..Default::default() };
        self.client.execute(&Qmp::MigrateSetParameters(slow)).unwrap();
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.client.query::<StatusInfo>(&Qmp::QueryStatus).unwrap().running
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A QEMU with a guest, and one that waits for it.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) source: Qemu,
    pub(crate) destination: Qemu,
    pub(crate) uri: String,
    guest: Guest,
    folder: TempDir,
}

impl Pair {
    /// The guest runs at the source, and has been over its working set once.
    pub(crate) fn start(workload: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let guest = Guest::write(folder.path(), workload);
        let uri = format!("unix:{}", folder.path().join("migration").display());
        let machine = guest.machine();
        let destination = Qemu::start(folder.path(), "destination", &machine, Some(&uri));
        let source = Qemu::start(folder.path(), "source", &machine, None);
        guest.wait_until_at_work(source.child.id(), PATIENCE);
        Self { source, destination, uri, guest, folder }
    }

    /// Another destination, in the place of one that has gone.
    pub(crate) fn renew_destination(&mut self) {
        self.destination.kill();
        for name in ["migration", "destination", "destination.pilot"] {
            // QEMU takes its sockets away itself, unless it was killed.
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
        let machine = self.guest.machine();
        self.destination = Qemu::start(self.folder.path(), "destination", machine, Some(&self.uri));
    }

    /// The guest runs at the destination, and has lost nothing.
    pub(crate) fn assert_arrived(&mut self) {
        assert!(self.destination.is_running() && !self.source.is_running());
        self.destination.client.execute(&Qmp::Stop).unwrap();
        self.guest.assert_whole(self.destination.child.id());
    }

    /// The guest runs at the source, and has lost nothing.
    pub(crate) fn assert_stayed(&mut self) {
        assert!(self.source.is_running());
        self.source.client.execute(&Qmp::Stop).unwrap();
        self.guest.assert_whole(self.source.child.id());
    }
}
