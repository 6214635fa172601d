//! `landfall status`: what a machine is doing.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use landfall_converge::{Bytes, Throttle};
use landfall_migrate::report::Report;
use landfall_qmp::{
    Client, ClientError, Command, MigrationInfo, MigrationStatus, RunState, StatusInfo, VmStatus,
};
use serde_json::json;

use crate::args::{Output, StatusArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::progress::View;
use crate::summary::summary;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What is asked for.
struct Status {
    run: StatusInfo,
    /// Only where the machine is Landfall's own and has a guest.
    vm: Option<VmStatus>,
    migration: MigrationInfo,
}

pub(crate) fn status(args: &StatusArgs) -> Result<Exit, CliError> {
    let status = Client::connect(&args.socket, TIMEOUT)
        .and_then(|mut client| Status::ask(&mut client))
        .map_err(|source| CliError::Monitor { socket: args.socket.clone(), source })?;
    match args.output {
        Output::Table => write!(io::stdout(), "{}", status.text())?,
        Output::Json => {
            let Status { run, vm, migration } = status;
            let shown = json!({ "guest": run, "vm": vm, "migration": migration });
            writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&shown)?)?;
        }
    }
    Ok(Exit::Done)
}

impl Status {
    fn ask(client: &mut Client) -> Result<Self, ClientError> {
        let run = client.query(&Command::QueryStatus)?;
        let vm = match client.query(&Command::QueryVm) {
            Ok(vm) => Some(vm),
            // Stock QEMU does not know it; a destination has no machine before the hand-shake.
            Err(ClientError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { run, vm, migration: client.query(&Command::QueryMigrate)? })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<10} {value}");
        };
        line("guest", run_state(self.run.status));
        if let Some(vm) = &self.vm {
            let vcpus = vm.vcpus.len();
            let memory = Bytes(vm.memory_bytes);
            line("machine", &format!("{}, {vcpus} vCPU, {memory}", vm.machine));
            let throttle = Throttle::new(vm.throttle);
            let throttled = if throttle.is_none() { "none".into() } else { throttle.to_string() };
            line("throttle", &throttled);
            line("dirty log", if vm.dirty_log { "on" } else { "off" });
        }
        line("migration", &migration_text(&self.migration));
        text
    }
}

/// The migration under way, or how the last one ended, in one line.
pub(crate) fn migration_text(migration: &MigrationInfo) -> String {
    let landfall = migration.landfall.as_ref();
    let report = landfall.and_then(|it| it.report.clone());
    match report.map(serde_json::from_value::<Report>) {
        Some(Ok(report)) => summary(&report),
        _ if migration.status == MigrationStatus::None => "none".to_owned(),
        _ if landfall.is_some() && !migration.status.is_final() => View::of(migration).to_string(),
        // A guest that came in has its report at the source; QEMU has none at all.
        _ => {
            let status = status_word(migration.status);
            migration.error_desc.as_ref().map_or(status.clone(), |why| format!("{status}: {why}"))
        }
    }
}

/// The status by QEMU's name for it.
fn status_word(status: MigrationStatus) -> String {
    let name = serde_json::to_value(status).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_else(|| "unknown".to_owned())
}

fn run_state(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Paused => "paused",
        RunState::FinishMigrate => "stopped for its switchover or a snapshot",
        RunState::Postmigrate => "given away: it runs elsewhere",
        RunState::Inmigrate => "waiting for a guest to come in",
        RunState::Prelaunch => "not started",
        RunState::Shutdown => "ended",
        RunState::InternalError => "stopped by an internal error",
        RunState::Other => "unknown",
    }
}
