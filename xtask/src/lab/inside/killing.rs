//! A destination that dies costs the guest nothing, whenever it dies.

use std::path::Path;
use std::thread;
use std::time::Instant;

use landfall_qmp::{Capability, CapabilityState, Client, Command, MigrationStatus};
use landfall_vmm::devices::{Disk, DiskChoice, DiskError};

use super::host::{Host, LIMIT, Process};
use super::trials::{DISK, FAST_LINK, migrate};
use crate::lab::machine::NEWS;

/// When a destination is killed: while pages come, and in the middle of the switchover, in which both ends go over all memory.
pub(super) const MOMENTS: [MigrationStatus; 2] = [MigrationStatus::Active, MigrationStatus::Device];

/// Moves the guest in `process` to a destination that is killed at `moment`. The guest keeps its disk; that it goes on is for others to
/// find out.
pub(super) fn kill_destination(
    host: &mut Host,
    process: &Process,
    uri: &str,
    moment: MigrationStatus,
) -> Result<(), String> {
    let destination = host.start(&["--incoming", uri])?;
    let mut watch = watch(process).map_err(|error| error.to_string())?;
    let report = thread::scope(|scope| {
        let migration = scope.spawn(|| migrate(process, uri, &FAST_LINK));
        wait_for(&mut watch, moment)?;
        host.kill(&destination)?;
        migration.join().map_err(|_| "the migration panicked".to_owned())?
    });
    let report = report.map_err(|error| host.telling(error))?;
    let why = report["reason"].as_str().unwrap_or("?");
    println!("{NEWS}destination killed when {moment:?}: {why}");
    if report["outcome"] != "failed" {
        return Err(host.telling(format!("the migration did not fail\n{report:#}")));
    }
    let disk = DiskChoice { path: Path::new(DISK).to_owned(), read_only: false };
    match Disk::open(&disk).and_then(|disk| disk.lock()) {
        Err(DiskError::InUse(_)) => Ok(()),
        other => Err(host.telling(format!("the guest has lost its disk: {other:?}"))),
    }
}

/// A client that hears how the migrations of `process` go.
fn watch(process: &Process) -> Result<Client, landfall_qmp::ClientError> {
    let mut client = Client::connect(&process.qmp, LIMIT)?;
    let events = CapabilityState { capability: Capability::Events, state: true };
    client.execute(&Command::MigrateSetCapabilities(vec![events]))?;
    Ok(client)
}

fn wait_for(watch: &mut Client, moment: MigrationStatus) -> Result<(), String> {
    let deadline = Instant::now() + LIMIT;
    let wanted = serde_json::to_value(moment).map_err(|error| error.to_string())?;
    loop {
        let event = watch.wait_event(deadline).map_err(|error| error.to_string())?;
        let event = event.ok_or("the migration does not get so far")?;
        if event.event == "MIGRATION" && event.data.is_some_and(|data| data["status"] == wanted) {
            return Ok(());
        }
    }
}
