//! One run: two machines, one migration, and the question whether the guest is whole.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use landfall_migrate::report::{Outcome, Report};
use landfall_qmp::{Command, GuestCheck, StatusInfo, VmStatus};
use tempfile::TempDir;

use crate::demo::process::VmProcess;
use crate::demo::{DemoArgs, DemoError, time_limit};
use crate::follow::{FollowError, begin, follow};
use crate::interrupts::Interrupts;
use crate::progress::on_stderr;

/// A slow guest is migrated before it has been once over its working set.
const WARM_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a guest may take to show that it runs.
const SIGN_OF_LIFE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the guest is looked at meanwhile.
const TICK: Duration = Duration::from_millis(20);

pub(super) fn run(
    args: &DemoArgs,
    auto_converge: bool,
    title: &str,
    interrupts: &Interrupts,
) -> Result<Report, DemoError> {
    let directory = TempDir::with_prefix("landfall-demo-").map_err(DemoError::Directory)?;
    let socket = |name: &str| directory.path().join(name);
    let uri = format!("unix:{}", socket("migration").display());

    let monitor = socket("destination");
    let arguments = destination_arguments(&uri, &monitor);
    let mut destination = VmProcess::start("destination", arguments, &monitor, interrupts)?;
    let monitor = socket("source");
    let arguments = source_arguments(args, &monitor);
    let mut source = VmProcess::start("source", arguments, &monitor, interrupts)?;

    let vm = warm_up(&mut source, interrupts)?;
    eprintln!("{title}: {}", machine_sentence(&vm));
    let limit = time_limit(args, auto_converge);
    let parameters = args.limits.parameters(Some(args.bandwidth), Some(limit));
    if let Err(refused) = begin(source.client(), uri, auto_converge, parameters) {
        return Err(source.lost(refused));
    }
    let mut report = {
        let mut watch = on_stderr(title);
        follow(source.client(), watch.as_mut(), interrupts).map_err(|error| match error {
            FollowError::Lost(cause) => source.lost(cause),
            other => DemoError::Follow(other),
        })?
    };
    let holder = match report.outcome {
        Outcome::Completed => Some(&mut destination),
        Outcome::GaveUp | Outcome::Cancelled | Outcome::Failed => Some(&mut source),
        Outcome::InDoubt => None,
    };
    if let Some(holder) = holder {
        let found = integrity(holder)?;
        // What the engine itself found wrong is not overruled.
        if matches!(report.integrity.as_str(), "ok" | "not_checked") {
            report.integrity = found;
        }
    }
    source.quit();
    destination.quit();
    Ok(report)
}

fn flag(name: &str, value: impl Into<OsString>) -> [OsString; 2] {
    [name.into(), value.into()]
}

fn source_arguments(args: &DemoArgs, monitor: &Path) -> Vec<OsString> {
    let guest = &args.guest;
    [
        flag("--probe", guest.workload()),
        flag("--machine", guest.machine.name()),
        flag("--cpus", guest.cpus.to_string()),
        flag("--dirty-log", guest.dirty_log.to_string()),
        flag("--memory", format!("{}B", guest.memory.0)),
        flag("--qmp", monitor),
    ]
    .concat()
}

fn destination_arguments(uri: &str, monitor: &Path) -> Vec<OsString> {
    [flag("--incoming", uri), flag("--qmp", monitor)].concat()
}

/// Waits until the guest has been once over its working set: before, its dirty rate is not what it will be.
fn warm_up(source: &mut VmProcess, interrupts: &Interrupts) -> Result<VmStatus, DemoError> {
    let deadline = Instant::now() + WARM_UP_TIMEOUT;
    loop {
        let vm: VmStatus = source.query(&Command::QueryVm)?;
        if interrupts.any() {
            return Err(DemoError::Interrupted);
        }
        if vm.laps.is_none_or(|laps| laps >= 1.0) || Instant::now() >= deadline {
            return Ok(vm);
        }
        wait(source)?;
    }
}

/// Waits a moment; less if something happens.
fn wait(machine: &mut VmProcess) -> Result<(), DemoError> {
    match machine.client().wait_event(Instant::now() + TICK) {
        Ok(_) => Ok(()),
        Err(source) => Err(machine.lost(source)),
    }
}

/// Asks the guest whether its memory is as it left it, and sees that every vCPU runs.
fn integrity(holder: &mut VmProcess) -> Result<String, DemoError> {
    let deadline = Instant::now() + SIGN_OF_LIFE_TIMEOUT;
    // The source hears of the arrival a moment before the destination's monitor has taken the guest over.
    while !holder.query::<StatusInfo>(&Command::QueryStatus)?.running {
        if Instant::now() >= deadline {
            return Ok("the guest does not run".to_owned());
        }
        wait(holder)?;
    }
    let before: GuestCheck = holder.query(&Command::CheckGuest)?;
    loop {
        let now: GuestCheck = holder.query(&Command::CheckGuest)?;
        let vcpus = now.vcpus.iter().zip(&before.vcpus);
        let standing = vcpus.filter(|(now, before)| now.heartbeat <= before.heartbeat).count();
        if now.integrity != "ok" || standing == 0 {
            return Ok(now.integrity);
        }
        if Instant::now() >= deadline {
            return Ok(format!("{standing} of {} vCPUs do not run", now.vcpus.len()));
        }
        wait(holder)?;
    }
}

fn machine_sentence(vm: &VmStatus) -> String {
    match (vm.machine.as_str(), &vm.machine_reason) {
        ("kvm", _) => "a real guest in KVM".to_owned(),
        ("synthetic", Some(reason)) => {
            format!("a synthetic guest (native threads over guest memory): {reason}")
        }
        ("synthetic", None) => "a synthetic guest (native threads over guest memory)".to_owned(),
        (other, _) => format!("a guest in {other}"),
    }
}
