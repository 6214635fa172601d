//! Hearing how a migration goes, from the process that the guest leaves.

use std::time::Instant;

use landfall_qmp::{Capability, CapabilityState, Client, Command, Event};

use super::host::{LIMIT, Process};

/// A client that hears how the migrations of `process`, which runs here, go.
pub(super) fn watch(process: &Process) -> Result<Client, String> {
    let connected = Client::connect(&process.qmp, LIMIT);
    let mut client = connected.map_err(|error| error.to_string())?;
    let events = CapabilityState { capability: Capability::Events, state: true };
    let told = client.execute(&Command::MigrateSetCapabilities(vec![events]));
    told.map_err(|error| error.to_string())?;
    Ok(client)
}

/// Waits for an event, which must come before the migration ends.
pub(super) fn wait_for(watch: &mut Client, wanted: impl Fn(&Event) -> bool) -> Result<(), String> {
    loop {
        // Each event is a step.
        let event = watch.wait_event(Instant::now() + LIMIT).map_err(|error| error.to_string())?;
        let event = event.ok_or("the migration does not get so far")?;
        if wanted(&event) {
            return Ok(());
        }
        let status = event.data.as_ref().and_then(|data| data["status"].as_str());
        if let Some(status @ ("completed" | "failed" | "cancelled")) = status {
            return Err(format!("the migration was {status} before it got so far"));
        }
    }
}

/// Whether `event` says that the migration is in this status.
pub(super) fn is_in(event: &Event, status: &str) -> bool {
    event.event == "MIGRATION" && event.data.as_ref().is_some_and(|data| data["status"] == status)
}

/// Whether `event` says that pass `number` or a later one begins.
pub(super) fn is_in_pass(event: &Event, number: u64) -> bool {
    let pass = event.data.as_ref().and_then(|data| data["pass"].as_u64());
    event.event == "MIGRATION_PASS" && pass >= Some(number)
}
