//! Stock QEMU: found by its monitor, started again at a destination, steered by the pilot.

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use landfall_converge::Throttle;
use landfall_pilot::{
    AtLimit, Memo, Observer, Options, Pilot, Progress as Seen, Wish as PilotWish,
};
use landfall_qmp::{Client, MigrationInfo, MigrationStatus, NO_BANDWIDTH_LIMIT};
use rustix::net::sockopt::socket_peercred;

use super::credentials::{Credentials, End};
use super::{Destination, Followed, Follower, MachineError, Wish, chain};
use crate::model::{OnLimit, Progress, QemuSpec, Settings, Stage};
use crate::process::ProcessId;
use crate::qemu_report::report;

/// Options that must not be given to a second process, and have a value.
const WITH_VALUE: [&str; 2] = ["incoming", "pidfile"];
/// Options that must not be given to a second process, and stand alone.
const ALONE: [&str; 1] = ["daemonize"];

/// The process that listens at `monitor`, and the command that started it.
pub(super) fn find(monitor: &Path) -> Result<(ProcessId, Vec<String>), MachineError> {
    let failed = |why: String| {
        MachineError::Monitor(format!(
            "no QEMU can be found behind {}: {why}; give the path of its monitor's socket",
            monitor.display()
        ))
    };
    let stream = UnixStream::connect(monitor).map_err(|error| failed(error.to_string()))?;
    let peer = socket_peercred(&stream).map_err(|error| failed(error.to_string()))?;
    let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or_default();
    let process = ProcessId::of(pid)
        .ok_or_else(|| failed(format!("its process {pid} cannot be seen from here")))?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).map_err(|e| failed(e.to_string()))?;
    let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Ok((process, words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()))
}

/// The command that starts a QEMU like the one described, which has its monitor at `monitor` and awaits the guest at `host`, or
/// waits to be told where.
pub(super) fn incoming(
    spec: &QemuSpec,
    monitor: &Path,
    host: Option<&str>,
) -> Result<Command, MachineError> {
    let (old, new) = (spec.socket.display().to_string(), monitor.display().to_string());
    let Some((program, arguments)) = spec.command.split_first() else {
        return Err(MachineError::Unsupported(
            "it is not known how this QEMU was started; adopt it again while it runs".to_owned(),
        ));
    };
    let mut command = Command::new(program);
    let mut has_monitor = false;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        // QEMU takes its options with one hyphen or two.
        let option = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        if option.is_some_and(|option| WITH_VALUE.contains(&option)) {
            arguments.next();
        } else if !option.is_some_and(|option| ALONE.contains(&option)) {
            has_monitor |= argument.contains(&old);
            command.arg(argument.replace(&old, &new));
        }
    }
    if !has_monitor {
        command.args(["-qmp", &format!("unix:{new},server=on,wait=off")]);
    }
    let at = host.map_or_else(|| "defer".to_owned(), |host| format!("tcp:{host}:0"));
    command.args(["-incoming", &at]);
    Ok(command)
}

/// Where it is kept what a pilot has changed in a QEMU, by the path of its monitor, until the host is started anew.
#[must_use]
pub fn memo(machine: &Path) -> Memo {
    let machine = machine.canonicalize().unwrap_or_else(|_| machine.to_owned());
    let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_else(|| "/run".into());
    let name = machine.to_string_lossy().replace('%', "%25").replace('/', "%2F");
    Memo::at(Path::new(&folder).join("landfall").join(format!("pilot {name}.json")))
}

pub(super) fn send(
    mut client: Client,
    monitor: &Path,
    to: Option<Destination<'_>>,
    credentials: Option<&Credentials>,
    settings: &Settings,
    follower: &mut dyn Follower,
) -> Result<Followed, MachineError> {
    if let (Some(_), Some(credentials)) = (to, credentials) {
        credentials.give(&mut client, End::Source)?;
    }
    if to.is_none() {
        let asked = client.query::<MigrationInfo>(&landfall_qmp::Command::QueryMigrate);
        let status = asked.map_err(|error| MachineError::monitor(&error))?.status;
        if status == MigrationStatus::None {
            return Ok(Followed::None);
        }
    }
    let follower = RefCell::new(follower);
    let mut observer = Shared(&follower);
    let failed = |error: landfall_pilot::PilotError| MachineError::Monitor(chain(&error));
    let mut pilot =
        Pilot::attach(Box::new(client), options(settings), memo(monitor), &mut observer)
            .map_err(failed)?;
    if let Some(to) = to {
        if credentials.is_some() {
            pilot.protect(End::Source.id(), to.node.as_str()).map_err(failed)?;
        }
        pilot.begin(to.uri).map_err(failed)?;
    }
    let mut wish = || wish_of(follower.borrow_mut().wish());
    let bill = pilot.steer(&mut observer, &mut wish).map_err(failed)?;
    let report = bill.as_ref().and_then(|bill| report(bill, settings.auto_converge));
    Ok(report.map_or(Followed::Left, |report| Followed::Over(Box::new(report))))
}

fn options(settings: &Settings) -> Options {
    Options {
        auto_converge: settings.auto_converge,
        max_throttle: Throttle::new(f64::from(settings.max_throttle_percent) / 100.0),
        max_downtime: Some(settings.max_downtime()),
        max_bandwidth: Some(settings.bandwidth_bytes_per_second.unwrap_or(NO_BANDWIDTH_LIMIT)),
        time_limit: settings.time_limit(),
        at_limit: match settings.on_limit {
            OnLimit::Abort => AtLimit::Abort,
            OnLimit::Switchover => AtLimit::Switchover,
        },
    }
}

fn wish_of(wish: Wish) -> PilotWish {
    match wish {
        Wish::GoOn => PilotWish::GoOn,
        Wish::Cancel => PilotWish::Cancel,
        Wish::Leave => PilotWish::Detach,
        Wish::Adjust(settings) => PilotWish::Adjust(options(&settings)),
        Wish::SwitchOver(_) => PilotWish::SwitchOver,
    }
}

/// The pilot tells and asks the same follower, through two parameters.
struct Shared<'a, 'b>(&'a RefCell<&'b mut dyn Follower>);

impl Observer for Shared<'_, '_> {
    fn progress(&mut self, seen: &Seen) {
        let verdict = seen.verdict.as_ref();
        let state = verdict.and_then(|verdict| serde_json::to_value(verdict.state).ok());
        let state = state.and_then(|state| state.as_str().map(str::to_owned));
        self.0.borrow_mut().progress(Progress {
            stage: stage(seen),
            elapsed_ms: seen.elapsed.as_secs_f64() * 1e3,
            pass: seen.pass,
            memory_bytes: seen.memory.0,
            remaining_bytes: seen.remaining.0,
            sent_bytes: seen.sent.0,
            dirty_rate_bytes_per_second: seen.dirty_rate.bytes_per_second(),
            bandwidth_bytes_per_second: seen.bandwidth.bytes_per_second(),
            throttle: seen.throttle.share(),
            verdict: state.unwrap_or_default(),
            verdict_text: verdict.map(|verdict| verdict.text.clone()).unwrap_or_default(),
        });
    }

    fn note(&mut self, text: &str) {
        tracing::info!("{text}");
    }
}

fn stage(seen: &Seen) -> Stage {
    match seen.status {
        MigrationStatus::None | MigrationStatus::Setup => Stage::Connecting,
        MigrationStatus::Active if seen.pass <= 1 => Stage::FirstPass,
        MigrationStatus::Device | MigrationStatus::PreSwitchover => Stage::Switchover,
        MigrationStatus::Completed => Stage::Committed,
        _ => Stage::Passes,
    }
}

#[cfg(test)]
#[path = "qemu_tests.rs"]
mod tests;
