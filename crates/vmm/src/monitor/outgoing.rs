//! Gives the guest away.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use landfall_converge::{ByteRate, Limits, OnLimit, Policy, SteppedParameters, Throttle};
use landfall_migrate::options::{Adjustment, EncodingChoice, Options, Security, Uri};
use landfall_migrate::progress::{Observer, Phase, Progress};
use landfall_migrate::report::{Outcome, Report};
use landfall_migrate::{Control, control, migrate_out};
use landfall_qmp::{
    Capabilities, EventKind, MigrationStatus, OnLimit as QmpOnLimit, PageEncoding, Parameters,
    ParametersUpdate, Policy as QmpPolicy, QmpError,
};
use serde_json::{Value, json};

use super::migration::MigrationRecord;
use super::{Guest, Monitor};
use crate::machine::{Movable, Vm};

impl Monitor {
    /// Takes parameters over, also into the migration under way.
    pub(super) fn set_parameters(&self, update: &ParametersUpdate) -> Result<Value, QmpError> {
        let mut state = self.state();
        state.parameters = state.parameters.with(update)?;
        if let Some(handle) = &state.outgoing {
            handle.adjust(Adjustment {
                max_bandwidth: Some(bandwidth(&state.parameters)),
                limits: Some(limits(&state.parameters)),
            });
        }
        Ok(json!({}))
    }

    /// Begins to give the guest away, on a thread of its own.
    pub(super) fn migrate(&self, uri: &str) -> Result<Value, QmpError> {
        let uri: Uri = uri.parse().map_err(super::failed)?;
        let vm = self.vm()?;
        let mut state = self.state();
        if state.migration.is_under_way() {
            return Err(QmpError::generic(
                "There's a migration process in progress; wait for it or cancel it with migrate_cancel",
            ));
        }
        if state.is_saving {
            return Err(QmpError::generic(
                "a snapshot of the guest is being written; migrate once it is",
            ));
        }
        if state.dirty_rate.is_measuring() {
            return Err(QmpError::generic(
                "the dirty rate is being measured, which uses the dirty log; migrate once query-dirty-rate says that it is measured",
            ));
        }
        let options = options(uri, state.capabilities, &state.parameters);
        let (handle, control) = control();
        state.migration = MigrationRecord::begin(options.policy);
        state.outgoing = Some(handle);
        drop(state);
        self.emit_migration(&EventKind::Migration { status: MigrationStatus::Setup });
        let monitor = self.clone();
        let spawned = thread::Builder::new().name("migration".to_owned()).spawn(move || {
            let report = give_away(&monitor, &vm, &options, control);
            monitor.migrated(vm, report);
        });
        if spawned.is_err() {
            let mut state = self.state();
            state.outgoing = None;
            state.migration = MigrationRecord::default();
            return Err(QmpError::generic("the system gives no thread for the migration"));
        }
        Ok(json!({}))
    }

    /// Asks the migration under way to end; nothing happens when there is none.
    pub(super) fn migrate_cancel(&self) -> Value {
        let mut state = self.state();
        if let Some(handle) = &state.outgoing {
            handle.cancel();
            let changed = state.migration.set_status(MigrationStatus::Cancelling);
            drop(state);
            if let Some(status) = changed {
                self.emit_migration(&EventKind::Migration { status });
            }
        }
        json!({})
    }

    /// The migration is over.
    fn migrated(&self, vm: Arc<Vm>, report: Report) {
        let mut state = self.state();
        match report.outcome {
            // From here on nothing in this process can run the guest: the machine is gone.
            Outcome::Completed => state.guest = Guest::GivenAway,
            // Whoever took the memory over has the guest, running or lost: there is nothing to decide here.
            Outcome::InDoubt if report.hand_over => state.guest = Guest::GivenAway,
            Outcome::InDoubt => state.guest = Guest::InDoubt(Arc::clone(&vm), None),
            Outcome::GaveUp | Outcome::Cancelled | Outcome::Failed => {}
        }
        state.outgoing = None;
        let changed = state.migration.finish(report);
        drop(state);
        // Memory is given back before anybody is told, so that who is told can use it.
        drop(vm);
        if let Some(status) = changed {
            self.emit_migration(&EventKind::Migration { status });
        }
    }
}

fn give_away(monitor: &Monitor, vm: &Arc<Vm>, options: &Options, control: Control) -> Report {
    let mut machine = Movable::new(Arc::clone(vm));
    migrate_out(&mut machine, options, control, &mut Watcher { monitor: monitor.clone() })
}

/// Keeps `query-migrate` and the events true.
struct Watcher {
    monitor: Monitor,
}

impl Watcher {
    fn enter(&self, status: MigrationStatus) {
        let mut state = self.monitor.state();
        // Cancelling stays until the end, whatever phase is reached meanwhile.
        if state.migration.status() == MigrationStatus::Cancelling {
            return;
        }
        let changed = state.migration.set_status(status);
        drop(state);
        if let Some(status) = changed {
            self.monitor.emit_migration(&EventKind::Migration { status });
        }
    }
}

impl Observer for Watcher {
    fn phase(&mut self, phase: Phase) {
        match phase {
            Phase::Connecting => {}
            Phase::FirstPass | Phase::Passes => self.enter(MigrationStatus::Active),
            Phase::Switchover => {
                self.enter(MigrationStatus::Device);
                self.monitor.emit(&EventKind::Stop);
            }
            Phase::Committed => {}
        }
    }

    fn pass(&mut self, pass: u32) {
        self.monitor.emit_migration(&EventKind::MigrationPass { pass: u64::from(pass) });
    }

    fn progress(&mut self, progress: &Progress) {
        self.monitor.state().migration.set_progress(progress);
    }
}

fn options(uri: Uri, capabilities: Capabilities, parameters: &Parameters) -> Options {
    let percent = |value: u8| Throttle::new(f64::from(value) / 100.0);
    Options {
        policy: match (capabilities.auto_converge, parameters.policy) {
            (false, _) => Policy::Off,
            (true, QmpPolicy::Classic) => Policy::Classic,
            (true, QmpPolicy::Stepped) => Policy::Stepped,
            (true, QmpPolicy::Adaptive) => Policy::Adaptive,
        },
        limits: limits(parameters),
        stepped: SteppedParameters {
            initial: percent(parameters.cpu_throttle_initial),
            increment: percent(parameters.cpu_throttle_increment),
            max: percent(parameters.max_cpu_throttle),
            trigger_threshold: f64::from(parameters.throttle_trigger_threshold) / 100.0,
        },
        max_bandwidth: bandwidth(parameters),
        security: security(parameters),
        encoding: match parameters.encoding {
            PageEncoding::None => EncodingChoice::None,
            PageEncoding::Auto => EncodingChoice::Auto,
            PageEncoding::Delta => EncodingChoice::Delta,
            PageEncoding::Lz4 => EncodingChoice::Lz4,
            PageEncoding::Zstd => EncodingChoice::Zstd,
        },
        channels: if capabilities.multifd { parameters.multifd_channels.into() } else { 1 },
        channels_by_speed: parameters.channels_by_speed,
        verify: parameters.verify,
        hand_over: parameters.hand_over,
        peer_timeout: parameters.peer_timeout,
        ..Options::to(uri)
    }
}

/// How connections are to be protected, in either direction.
pub(super) fn security(parameters: &Parameters) -> Security {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Security {
        identity: given(&parameters.tls_creds).map(PathBuf::from),
        peer_name: given(&parameters.tls_hostname),
        allow_plain: parameters.insecure,
    }
}

fn limits(parameters: &Parameters) -> Limits {
    Limits {
        max_downtime: parameters.downtime_limit,
        max_throttle: Throttle::new(f64::from(parameters.max_cpu_throttle) / 100.0),
        max_stall: parameters.max_stall,
        time_limit: (!parameters.time_limit.is_zero()).then_some(parameters.time_limit),
        on_limit: match parameters.on_limit {
            QmpOnLimit::Abort => OnLimit::Abort,
            QmpOnLimit::Switchover => OnLimit::Switchover,
        },
    }
}

fn bandwidth(parameters: &Parameters) -> Option<ByteRate> {
    (parameters.max_bandwidth > 0).then(|| ByteRate::new(parameters.max_bandwidth as f64))
}
