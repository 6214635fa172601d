//! A machine that only plays what it is told to, behind a real monitor, and the binary in front of it.

use std::path::PathBuf;
use std::process::{Command as Process, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use landfall_qmp::{
    Command, EventBroadcast, Handler, LandfallMigration, MigrationInfo, MigrationStatus,
    MonitorServer, QmpError, RamStats, RunState, StatusInfo, VcpuState, VcpuStatus, Version,
    VmStatus,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the machine does about a migration.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Goes through a few passes and ends with this outcome.
    EndsWith(&'static str),
    /// Goes on until it is cancelled, and then is.
    UntilCancelled,
    /// Goes on although it is cancelled.
    Forever,
    /// Refuses to begin.
    Refuses,
}

pub(crate) struct Machine {
    pub(crate) directory: TempDir,
    pub(crate) server: Option<MonitorServer>,
    /// Every command, as it comes.
    pub(crate) commands: Receiver<Command>,
}

struct Player {
    script: Script,
    commands: Mutex<Sender<Command>>,
    /// How often `query-migrate` was asked since the migration began; `None` before.
    asked: Mutex<Option<u64>>,
    cancelled: Mutex<bool>,
}

impl Machine {
    pub(crate) fn playing(script: Script) -> Self {
        Self::of_version(script, Version::landfall("0.1.0"))
    }

    pub(crate) fn of_version(script: Script, version: Version) -> Self {
        let directory = TempDir::new().unwrap();
        let (sender, commands) = channel();
        let player = Player {
            script,
            commands: Mutex::new(sender),
            asked: Mutex::new(None),
            cancelled: Mutex::new(false),
        };
        let path = directory.path().join("qmp");
        let events = EventBroadcast::new();
        let server = MonitorServer::bind(path, version, Arc::new(player), events).unwrap();
        Self { directory, server: Some(server), commands }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("qmp")
    }

    /// `landfall COMMAND SOCKET ARGS…`, with nothing of our own environment in its log.
    pub(crate) fn landfall(&self, command: &str, args: &[&str]) -> Process {
        let mut process = landfall();
        process.arg(command).arg(self.socket()).args(args);
        process
    }

    pub(crate) fn run(&self, command: &str, args: &[&str]) -> Ended {
        Ended::from(self.landfall(command, args).output().unwrap())
    }

    /// Waits for a command that `wanted` picks.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Command) -> bool) -> Command {
        self.commands.iter().find(|command| wanted(command)).unwrap()
    }
}

pub(crate) fn landfall() -> Process {
    let mut process = Process::new(env!("CARGO_BIN_EXE_landfall"));
    process.env_remove("RUST_LOG").stdin(Stdio::null());
    process.stdout(Stdio::piped()).stderr(Stdio::piped());
    process
}

/// What a finished process left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    pub(crate) fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

impl Handler for Player {
    fn handle(&self, command: Command) -> Result<Value, QmpError> {
        // The test may have seen enough.
        let _ = self.commands.lock().unwrap().send(command.clone());
        match command {
            Command::QueryStatus => Ok(json!(StatusInfo::new(RunState::Running))),
            Command::QueryVm => Ok(json!(vm())),
            Command::Migrate { .. } => match self.script {
                Script::Refuses => Err(QmpError::generic("a migration is under way already")),
                _ => {
                    *self.asked.lock().unwrap() = Some(0);
                    Ok(json!({}))
                }
            },
            Command::MigrateCancel => {
                *self.cancelled.lock().unwrap() = true;
                Ok(json!({}))
            }
            Command::QueryMigrate => Ok(json!(self.migration())),
            _ => Ok(json!({})),
        }
    }
}

impl Player {
    fn migration(&self) -> MigrationInfo {
        let mut asked = self.asked.lock().unwrap();
        let Some(asked) = asked.as_mut() else { return MigrationInfo::default() };
        *asked += 1;
        let cancelled = *self.cancelled.lock().unwrap();
        match (&self.script, *asked) {
            (Script::EndsWith(outcome), 4..) => ended(outcome),
            (Script::UntilCancelled, _) if cancelled => ended("cancelled"),
            (_, 1) => under_way(1),
            (_, _) => under_way(2),
        }
    }
}

fn vm() -> VmStatus {
    let vcpu =
        VcpuStatus { index: 0, state: VcpuState::Running, stolen_ms: 0.0, longest_stall_ms: 0.0 };
    VmStatus {
        machine: "synthetic".into(),
        machine_reason: None,
        memory_bytes: 512 << 20,
        in_doubt: false,
        vcpus: vec![vcpu],
        dirty_log: false,
        dirty_log_kind: "software".into(),
        throttle: 0.0,
        laps: Some(3.0),
    }
}

fn verdict() -> Value {
    json!({
        "state": "needs_throttle", "text": "it arrives with a throttle of 89 %",
        "needed_throttle": 0.89, "unthrottled_dirty_rate_bytes_per_second": 1.04e9,
        "bandwidth_bytes_per_second": 125e6
    })
}

fn under_way(pass: u64) -> MigrationInfo {
    MigrationInfo {
        status: MigrationStatus::Active,
        ram: Some(RamStats { remaining: 84 << 20, ..RamStats::default() }),
        landfall: Some(LandfallMigration {
            phase: if pass == 1 { "first_pass" } else { "passes" }.into(),
            pass,
            policy: "adaptive".into(),
            throttle: 0.89,
            verdict: Some(verdict()),
            dirty_rate_bytes_per_second: 1.04e9,
            bandwidth_bytes_per_second: 125e6,
            report: None,
        }),
        ..MigrationInfo::default()
    }
}

fn ended(outcome: &str) -> MigrationInfo {
    let status = match outcome {
        "completed" => MigrationStatus::Completed,
        "cancelled" => MigrationStatus::Cancelled,
        _ => MigrationStatus::Failed,
    };
    let reason = (outcome != "completed").then_some("because the script says so");
    let report = json!({
        "outcome": outcome, "reason": reason,
        "machine": "synthetic", "policy": "adaptive", "auto_converge": true,
        "total_ms": 2310.0, "downtime_ms": 212.0, "predicted_downtime_ms": 220.0,
        "downtime_limit_ms": 300.0,
        "downtime_parts_ms": {"stop": 1.0, "last_sync": 1.0, "last_pages": 200.0,
            "device_state": 5.0, "commit": 3.0, "resume": 2.0},
        "passes": 4, "memory_bytes": 536_870_912, "sent_bytes": 300_000_000,
        "pages": {"zero": 1, "raw": 2, "delta": 0, "compressed": 0},
        "bandwidth_bytes_per_second": 125e6, "dirty_rate_bytes_per_second": 1.04e9,
        "max_throttle": 0.89, "stolen_ms": 914.0, "guest_time_share_stolen": 0.396,
        "max_stall_ms": 9.9, "verdict": verdict(), "integrity": "not_checked",
        "timeline": [{"at_ms": 1.0, "pass": 1, "remaining_bytes": 5,
            "dirty_rate_bytes_per_second": 1.0, "bandwidth_bytes_per_second": 1.0, "throttle": 0.0}],
        "events": [{"at_ms": 0.0, "event": "pass", "pass": 1}]
    });
    let landfall = LandfallMigration { report: Some(report), ..LandfallMigration::default() };
    MigrationInfo { status, landfall: Some(landfall), ..MigrationInfo::default() }
}
