//! A migration over QMP: begun, followed, cancelled.

use std::time::{Duration, Instant};

use landfall_migrate::report::Report;
use landfall_qmp::{
    Capability, CapabilityState, Client, ClientError, Command, MigrationInfo, MigrationStatus,
    ParametersUpdate,
};

use crate::interrupts::Interrupts;
use crate::progress::{View, Watch};

/// How long to wait for an event before the counters are read again.
const TICK: Duration = Duration::from_millis(100);
/// How long a machine may take to draw up its report once the migration is over.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a migration was not followed to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FollowError {
    /// The machine went silent, or away.
    #[error("sight of the machine was lost")]
    Lost(#[source] ClientError),
    /// The user asked twice to stop.
    #[error("detached on request while it was being cancelled")]
    Detached,
    /// The migration ended without a report.
    #[error("it ended with the status {status:?} and without a report{}; ask the machine itself whether its guest runs there (landfall status)", error_desc.as_deref().map(|text| format!(": {text}")).unwrap_or_default())]
    NoReport { status: MigrationStatus, error_desc: Option<String> },
    /// The report has another shape.
    #[error(
        "the machine's report is not understood; its version may be another than this program's"
    )]
    Report(#[source] serde_json::Error),
}

/// Begins a migration to `uri`. Events are asked for, so that every pass is seen.
pub(crate) fn begin(
    client: &mut Client,
    uri: String,
    auto_converge: bool,
    parameters: ParametersUpdate,
) -> Result<(), ClientError> {
    let state = |capability, state| CapabilityState { capability, state };
    client.execute(&Command::MigrateSetCapabilities(vec![
        state(Capability::Events, true),
        state(Capability::AutoConverge, auto_converge),
        state(Capability::Multifd, parameters.multifd_channels.is_some_and(|count| count > 1)),
    ]))?;
    client.execute(&Command::MigrateSetParameters(parameters))?;
    client.execute(&Command::Migrate { uri })?;
    Ok(())
}

/// Follows the migration under way to its end. The first interrupt cancels it and waits on; the second lets it be.
pub(crate) fn follow(
    client: &mut Client,
    watch: &mut dyn Watch,
    interrupts: &Interrupts,
) -> Result<Report, FollowError> {
    let mut cancelled = false;
    let mut ended = None;
    loop {
        match interrupts.count() {
            0 => {}
            1 if cancelled => {}
            1 => {
                cancelled = true;
                watch.note("cancelling; the guest stays at the source. Ctrl-C again to not wait");
                client.execute(&Command::MigrateCancel).map_err(FollowError::Lost)?;
            }
            _ => return Err(FollowError::Detached),
        }
        let info: MigrationInfo =
            client.query(&Command::QueryMigrate).map_err(FollowError::Lost)?;
        watch.info(&info);
        watch.update(&View::of(&info));
        if info.status.is_final() {
            if let Some(report) = info.landfall.and_then(|landfall| landfall.report) {
                return serde_json::from_value(report).map_err(FollowError::Report);
            }
            if ended.get_or_insert_with(Instant::now).elapsed() > REPORT_TIMEOUT {
                let (status, error_desc) = (info.status, info.error_desc);
                return Err(FollowError::NoReport { status, error_desc });
            }
        }
        client.wait_event(Instant::now() + TICK).map_err(FollowError::Lost)?;
    }
}
