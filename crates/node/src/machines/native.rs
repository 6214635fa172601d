//! What a monitor of Landfall's own is asked; what QEMU answers alike is asked of it here, too.

use std::path::Path;
use std::time::{Duration, Instant};

use landfall_converge::ByteRate;
use landfall_migrate::options::most_channels;
use landfall_qmp::{
    Capability, CapabilityState, Client, ClientError, Command, MigrationInfo, MigrationStatus,
    OnLimit as QmpOnLimit, ParametersUpdate, RunState, StatusInfo, VmStatus,
};

use super::{Condition, Destination, Followed, Follower, MachineError, Wish};
use crate::model::{OnLimit, Progress, Settings, Stage};

/// How long to wait for an event before the counters are read again.
const TICK: Duration = Duration::from_millis(100);
/// How long a machine may take to draw up its report once the migration is over.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

fn told(error: ClientError) -> MachineError {
    MachineError::monitor(&error)
}

/// Where a destination listens that was told to choose a port by itself.
pub(super) fn listening(client: &mut Client, scheme: &str) -> Result<String, MachineError> {
    let info: MigrationInfo = client.query(&Command::QueryMigrate).map_err(told)?;
    let address = info.socket_address.first().ok_or_else(|| {
        MachineError::Start("the destination does not say where it listens".to_owned())
    })?;
    Ok(format!("{scheme}:{}:{}", address.host, address.port))
}

pub(super) fn condition(client: &mut Client) -> Result<Condition, MachineError> {
    let status: StatusInfo = client.query(&Command::QueryStatus).map_err(told)?;
    let vm = match client.query::<VmStatus>(&Command::QueryVm) {
        Ok(vm) => Some(vm),
        // Stock QEMU does not know it, and a destination has no machine before the hand-shake.
        Err(ClientError::Refused { .. }) => None,
        Err(error) => return Err(told(error)),
    };
    let info: MigrationInfo = client.query(&Command::QueryMigrate).map_err(told)?;
    let migrating = info.status != MigrationStatus::None && !info.status.is_final();
    let throttle = match (&vm, info.cpu_throttle_percentage) {
        (Some(vm), _) => vm.throttle,
        (None, Some(percent)) => percent as f64 / 100.0,
        (None, None) => 0.0,
    };
    Ok(match status.status {
        RunState::Running => Condition::Running { throttle, migrating },
        _ if vm.is_some_and(|vm| vm.in_doubt) => Condition::InDoubt,
        RunState::Paused | RunState::FinishMigrate | RunState::Prelaunch
            if info.socket_address.is_empty() || status.status == RunState::Paused =>
        {
            Condition::Paused { migrating }
        }
        RunState::Inmigrate | RunState::Prelaunch | RunState::FinishMigrate => Condition::Awaiting,
        RunState::Postmigrate => Condition::GivenAway,
        RunState::Shutdown | RunState::InternalError => Condition::Gone,
        RunState::Paused | RunState::Other => Condition::Paused { migrating },
    })
}

/// Settings as parameters of a machine; every one that matters is named.
fn parameters(settings: &Settings) -> ParametersUpdate {
    let most = settings.max_throttle_percent.clamp(1, 99);
    ParametersUpdate {
        max_bandwidth: Some(settings.bandwidth_bytes_per_second.unwrap_or(0)),
        downtime_limit: Some(settings.max_downtime()),
        max_cpu_throttle: Some(most),
        cpu_throttle_initial: Some(most.min(20)),
        time_limit: Some(settings.time_limit().unwrap_or_default()),
        on_limit: Some(match settings.on_limit {
            OnLimit::Abort => QmpOnLimit::Abort,
            OnLimit::Switchover => QmpOnLimit::Switchover,
        }),
        hand_over: Some(false),
        ..ParametersUpdate::default()
    }
}

pub(super) fn send(
    mut client: Client,
    to: Option<Destination<'_>>,
    identity: Option<&Path>,
    settings: &Settings,
    follower: &mut dyn Follower,
) -> Result<Followed, MachineError> {
    if let Some(to) = to {
        let limit = settings.bandwidth_bytes_per_second.map(|bytes| ByteRate::new(bytes as f64));
        let channels = most_channels(limit);
        let state = |capability, state| CapabilityState { capability, state };
        let capabilities = Command::MigrateSetCapabilities(vec![
            state(Capability::Events, true),
            state(Capability::AutoConverge, settings.auto_converge),
            state(Capability::Multifd, channels > 1),
        ]);
        client.execute(&capabilities).map_err(told)?;
        let parameters = ParametersUpdate {
            multifd_channels: Some(channels),
            channels_by_speed: Some(true),
            tls_creds: Some(identity.map_or(String::new(), |it| it.display().to_string())),
            tls_hostname: Some(identity.map_or(String::new(), |_| to.node.to_string())),
            ..parameters(settings)
        };
        client.execute(&Command::MigrateSetParameters(parameters)).map_err(told)?;
        client.execute(&Command::Migrate { uri: to.uri.to_owned() }).map_err(told)?;
    }
    follow(&mut client, follower)
}

fn follow(client: &mut Client, follower: &mut dyn Follower) -> Result<Followed, MachineError> {
    let mut cancelled = false;
    let mut ended = None;
    loop {
        let info: MigrationInfo = client.query(&Command::QueryMigrate).map_err(told)?;
        if info.status == MigrationStatus::None {
            return Ok(Followed::None);
        }
        follower.progress(progress(&info));
        if info.status.is_final() {
            if let Some(report) = info.landfall.and_then(|landfall| landfall.report) {
                let report = serde_json::from_value(report);
                return report
                    .map(|report| Followed::Over(Box::new(report)))
                    .map_err(|error| MachineError::monitor(&error));
            }
            if ended.get_or_insert_with(Instant::now).elapsed() > REPORT_TIMEOUT {
                let why = info.error_desc.unwrap_or_else(|| "it does not say why".to_owned());
                return Err(MachineError::Monitor(format!(
                    "the migration ended without a report: {why}; ask the machine itself whether its guest runs there"
                )));
            }
        } else {
            match follower.wish() {
                Wish::GoOn => {}
                Wish::Leave => return Ok(Followed::Left),
                Wish::Cancel if cancelled => {}
                Wish::Cancel => {
                    cancelled = true;
                    client.execute(&Command::MigrateCancel).map_err(told)?;
                }
                Wish::Adjust(settings) => {
                    let change = Command::MigrateSetParameters(parameters(&settings));
                    client.execute(&change).map_err(told)?;
                }
                Wish::SwitchOver(settings) => {
                    let now = ParametersUpdate {
                        time_limit: Some(Duration::from_millis(1)),
                        on_limit: Some(QmpOnLimit::Switchover),
                        ..parameters(&settings)
                    };
                    client.execute(&Command::MigrateSetParameters(now)).map_err(told)?;
                }
            }
        }
        client.wait_event(Instant::now() + TICK).map_err(told)?;
    }
}

fn progress(info: &MigrationInfo) -> Progress {
    let ram = info.ram.clone().unwrap_or_default();
    let landfall = info.landfall.clone().unwrap_or_default();
    let of_verdict = |key| {
        let verdict = landfall.verdict.as_ref();
        verdict.and_then(|verdict| verdict[key].as_str()).unwrap_or_default().to_owned()
    };
    Progress {
        stage: match landfall.phase.as_str() {
            "first_pass" => Stage::FirstPass,
            "passes" => Stage::Passes,
            "switchover" => Stage::Switchover,
            "committed" => Stage::Committed,
            _ => Stage::Connecting,
        },
        elapsed_ms: info.total_time.unwrap_or(0) as f64,
        pass: landfall.pass,
        memory_bytes: ram.total,
        remaining_bytes: ram.remaining,
        sent_bytes: ram.transferred,
        dirty_rate_bytes_per_second: landfall.dirty_rate_bytes_per_second,
        bandwidth_bytes_per_second: landfall.bandwidth_bytes_per_second,
        throttle: landfall.throttle,
        verdict: of_verdict("state"),
        verdict_text: of_verdict("text"),
    }
}
