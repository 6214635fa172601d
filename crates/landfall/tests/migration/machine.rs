//! A machine in a process of its own, and the conversation with its monitor.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Program, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use landfall_migrate::report::Report;
use landfall_qmp::{
    Capability, CapabilityState, Client, ClientError, Command, GuestCheck, MigrationInfo,
    PageEncoding, ParametersUpdate, RunState, StatusInfo, VcpuState, VmStatus,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Far more than anything here takes on a busy host; whoever waits longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long to wait for something to happen before looking again.
const MOMENT: Duration = Duration::from_millis(5);

/// The binary under test.
pub(crate) fn landfall() -> Program {
    let mut program = Program::new(env!("CARGO_BIN_EXE_landfall"));
    quiet(&mut program);
    program
}

fn quiet(program: &mut Program) {
    program.env_remove("RUST_LOG").stdin(Stdio::null());
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// A process that this test started. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Process(Arc<Mutex<Child>>);

impl Process {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Ends it by SIGKILL, and returns when nothing is left of it.
    pub(crate) fn kill(&self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that has ended already is only reaped.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A machine. Its process ends with it.
#[derive(Debug)]
pub(crate) struct Machine {
    role: String,
    process: Process,
    monitor: PathBuf,
    client: Client,
    /// Where a guest that comes in finds it.
    waits_at: Option<String>,
    limited_to_paths: bool,
    said: Receiver<String>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.process.kill();
    }
}

impl Machine {
    /// Starts `landfall vm run` with `arguments` and a monitor in `directory`, and waits until it listens.
    pub(crate) fn start(role: &str, directory: &Path, arguments: &[&str]) -> Self {
        Self::start_by(landfall(), role, directory, arguments)
    }

    /// The same in a process whose address space is limited, so that a large guest does not fit.
    pub(crate) fn start_small(role: &str, directory: &Path, arguments: &[&str]) -> Self {
        let mut shell = Program::new("sh");
        // 768 MiB: enough for the process and its threads, not for a guest of 1 GiB.
        shell.args([
            "-c",
            "ulimit -v 786432 && exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_landfall"),
        ]);
        quiet(&mut shell);
        Self::start_by(shell, role, directory, arguments)
    }

    /// A busy guest in a process that cannot write files past 1 MiB, as if the disk were full then.
    pub(crate) fn start_without_room(role: &str, directory: &Path) -> Self {
        let mut shell = Program::new("sh");
        // The signal that comes with it would end the process; a full disk sends none.
        shell.args(["-c", "trap '' XFSZ && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_landfall")]);
        quiet(&mut shell);
        let arguments = ["--probe", "sweep,working-set=16MiB", "--memory", "64MiB"];
        let machine = Self::start_by(shell, role, directory, &arguments);
        // Only now: the guest's memory is a file, too.
        let pid = format!("--pid={}", machine.process.id());
        let limited = Program::new("prlimit").args([&pid, "--fsize=1048576:"]).status();
        assert!(limited.unwrap().success());
        machine
    }

    fn start_by(mut program: Program, role: &str, directory: &Path, arguments: &[&str]) -> Self {
        let monitor = directory.join(format!("{role}.qmp"));
        // The standard input stream stays open for as long as this test lives, however it ends.
        program.args(["vm", "run", "--with-parent", "--qmp"]).arg(&monitor).args(arguments);
        if !arguments.contains(&"--allow") && !arguments.contains(&"--no-sandbox") {
            // Nothing here needs more.
            program.arg("--allow").arg(directory);
        }
        program.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = program.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, said) = channel();
        let name = role.to_owned();
        thread::spawn(move || listen(&name, BufReader::new(stderr), &sender));
        let process = Process(Arc::new(Mutex::new(child)));
        let Some(introduction) = wait_for_monitor(&said) else {
            process.kill();
            panic!("{role} ended before its monitor listened");
        };
        let client = Client::connect(&monitor, PATIENCE).unwrap();
        let at = introduction.iter().find_map(|line| line.strip_prefix("waiting for a guest at "));
        let waits_at = at.map(str::to_owned);
        let limited_to_paths = !introduction.iter().any(|line| line.contains("no Landlock"));
        let role = role.to_owned();
        Self { role, process, monitor, client, waits_at, limited_to_paths, said }
    }

    pub(crate) fn process(&self) -> Process {
        self.process.clone()
    }

    /// Where a guest that comes in finds it; panics when none is waited for.
    pub(crate) fn waits_at(&self) -> String {
        self.waits_at.clone().unwrap()
    }

    /// Whether this kernel keeps it from all paths but those that it was given.
    pub(crate) fn is_limited_to_paths(&self) -> bool {
        self.limited_to_paths
    }

    /// Where its monitor listens.
    pub(crate) fn monitor(&self) -> &Path {
        &self.monitor
    }

    /// Has `command` done; panics when it is refused.
    pub(crate) fn execute(&mut self, command: &Command) -> Value {
        self.client.execute(command).unwrap_or_else(|error| panic!("{}: {error}", self.role))
    }

    /// Why `command` is refused; panics when it is not.
    pub(crate) fn refusal(&mut self, command: &Command) -> String {
        match self.client.execute(command) {
            Err(ClientError::Refused { source, .. }) => source.desc,
            other => panic!("{}: {command:?} was not refused: {other:?}", self.role),
        }
    }

    fn query<T: DeserializeOwned>(&mut self, command: &Command) -> T {
        self.client.query(command).unwrap_or_else(|error| panic!("{}: {error}", self.role))
    }

    pub(crate) fn status(&mut self) -> RunState {
        self.query::<StatusInfo>(&Command::QueryStatus).status
    }

    pub(crate) fn vm(&mut self) -> VmStatus {
        self.query(&Command::QueryVm)
    }

    pub(crate) fn check(&mut self) -> GuestCheck {
        self.query(&Command::CheckGuest)
    }

    pub(crate) fn migration(&mut self) -> MigrationInfo {
        self.query(&Command::QueryMigrate)
    }

    /// Looks again and again until something is seen; less often than it happens, sooner where the machine says
    /// something.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut seen: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = seen(self) {
                return found;
            }
            if Instant::now() >= deadline {
                let migration = self.migration();
                panic!("{}: in vain waited for {what}; {migration:?}", self.role);
            }
            self.client.wait_event(Instant::now() + MOMENT).unwrap();
        }
    }

    /// Waits until the slowest vCPU has gone over its working set once more.
    pub(crate) fn wait_for_a_lap(&mut self) {
        let before = self.vm().laps.unwrap();
        self.until("a lap", |machine| (machine.vm().laps.unwrap() >= before + 1.0).then_some(()));
    }

    /// Begins to move the guest to `uri`.
    pub(crate) fn migrate(&mut self, uri: String, how: &How) {
        let state = |capability, state| CapabilityState { capability, state };
        self.execute(&Command::MigrateSetCapabilities(vec![
            state(Capability::Events, true),
            state(Capability::AutoConverge, how.auto_converge),
            state(Capability::Multifd, how.channels > 1),
        ]));
        self.execute(&Command::MigrateSetParameters(how.parameters()));
        self.execute(&Command::Migrate { uri });
    }

    /// Waits until the migration is over.
    pub(crate) fn report(&mut self) -> Report {
        let report = self.until("the migration's end", |machine| {
            let info = machine.migration();
            info.status.is_final().then(|| info.landfall.unwrap().report.unwrap())
        });
        serde_json::from_value(report).unwrap()
    }

    /// The guest runs here as if nothing had happened: at full speed, unobserved, and with everything in its place.
    pub(crate) fn assert_runs(&mut self) {
        assert_eq!(self.status(), RunState::Running, "{}", self.role);
        let vm = self.vm();
        assert_eq!(vm.throttle, 0.0, "{vm:?}");
        assert!(!vm.dirty_log, "{vm:?}");
        // A vCPU is running only once its thread had a turn on a processor.
        self.until("every vCPU running", |machine| {
            let states = machine.vm().vcpus;
            states.iter().all(|vcpu| vcpu.state == VcpuState::Running).then_some(())
        });
        let before = self.assert_whole();
        self.wait_for_a_lap();
        let after = self.assert_whole();
        for (before, after) in before.vcpus.iter().zip(&after.vcpus) {
            assert!(after.heartbeat > before.heartbeat && after.work > before.work, "{after:?}");
        }
        assert_eq!(self.status(), RunState::Running, "{}", self.role);
    }

    /// The guest finds its memory as it left it.
    pub(crate) fn assert_whole(&mut self) -> GuestCheck {
        let check = self.check();
        assert_eq!((check.integrity.as_str(), check.violations), ("ok", 0), "{}", self.role);
        assert!(check.pages_checked > 0, "{check:?}");
        check
    }

    /// The guest does not run here, and nothing but an operator's decision makes it.
    pub(crate) fn assert_stands_still(&mut self) {
        if let Some(vm) = self.assert_held() {
            let later = self.vm().laps;
            assert_eq!(vm.laps, later, "{}", self.role);
        }
    }

    /// The same of a guest whose memory another process has, too, and may run it in.
    pub(crate) fn assert_held(&mut self) -> Option<VmStatus> {
        assert_ne!(self.status(), RunState::Running, "{}", self.role);
        self.refusal(&Command::Cont);
        assert_ne!(self.status(), RunState::Running, "{}", self.role);
        let vm = self.client.query::<VmStatus>(&Command::QueryVm).ok()?;
        assert!(vm.vcpus.iter().all(|vcpu| vcpu.state == VcpuState::Paused), "{vm:?}");
        Some(vm)
    }

    /// Waits until the process has ended of itself; gives what it said.
    pub(crate) fn last_words(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => said.push(line),
                // The stream that it spoke on is closed.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} does not end: {said:?}", self.role),
            }
        }
        assert!(self.client.execute(&Command::QueryStatus).is_err(), "{} goes on", self.role);
        said.join("\n")
    }
}

/// Passes on what a machine says, and shows it where a test fails.
fn listen(role: &str, stderr: impl BufRead, sender: &Sender<String>) {
    for line in stderr.lines().map_while(Result::ok) {
        eprintln!("{role}: {line}");
        // The test may have seen enough; the process must be able to speak on.
        let _ = sender.send(line);
    }
}

/// What it said until its monitor listened.
fn wait_for_monitor(said: &Receiver<String>) -> Option<Vec<String>> {
    let deadline = Instant::now() + PATIENCE;
    let mut introduction = Vec::new();
    loop {
        let line = said.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        if line.starts_with("the monitor listens") {
            return Some(introduction);
        }
        introduction.push(line);
    }
}

/// How a migration is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub(crate) auto_converge: bool,
    /// Bytes a second.
    pub(crate) bandwidth: u64,
    pub(crate) max_downtime: Duration,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) peer_timeout: Duration,
    pub(crate) channels: u8,
    pub(crate) encoding: PageEncoding,
    pub(crate) hand_over: bool,
    /// Compares memory and state at both ends.
    pub(crate) verify: bool,
}

/// Over a link that the guest outruns, so that it takes a while and does not arrive without throttling.
pub(crate) const NARROW: How = How {
    auto_converge: true,
    bandwidth: 30_000_000,
    max_downtime: Duration::from_millis(300),
    time_limit: None,
    peer_timeout: Duration::from_secs(10),
    channels: 1,
    encoding: PageEncoding::None,
    hand_over: false,
    verify: true,
};

/// Over a link that carries whatever the processors can.
pub(crate) const WIDE: How = How { bandwidth: 0, ..NARROW };

/// The memory itself, and no page over any link.
pub(crate) const HAND_OVER: How = How { hand_over: true, ..WIDE };

impl How {
    /// Whoever does not answer is given up on soon.
    pub(crate) fn impatient(self) -> Self {
        Self { peer_timeout: Duration::from_millis(1500), ..self }
    }

    fn parameters(&self) -> ParametersUpdate {
        ParametersUpdate {
            max_bandwidth: Some(self.bandwidth),
            downtime_limit: Some(self.max_downtime),
            time_limit: Some(self.time_limit.unwrap_or_default()),
            peer_timeout: Some(self.peer_timeout),
            verify: Some(self.verify),
            multifd_channels: Some(self.channels),
            encoding: Some(self.encoding),
            hand_over: Some(self.hand_over),
            ..ParametersUpdate::default()
        }
    }
}
