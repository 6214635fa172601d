//! The monitor: answers QMP for one machine, and runs its migrations.

mod balloon;
mod check;
mod dirty_rate;
mod incoming;
mod migration;
mod outgoing;
mod snapshot;
mod watching;

use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_migrate::machine::MachineKind;
use landfall_migrate::{Deed, Handle};
use landfall_qmp::{
    Capabilities, Command, CpuInfo, EventBroadcast, EventKind, Handler, Parameters, QmpError,
    RunState, StatusInfo, VcpuState, VcpuStatus, VmStatus,
};
use serde::Serialize;
use serde_json::{Value, json};

use self::dirty_rate::DirtyRateRecord;
use self::migration::MigrationRecord;
use crate::machine::{HostSide, Vm, VmError, VmEvent};
use crate::vcpu::{self, Ending};

/// What a monitor tells the process around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// A client asked for the end.
    Quit,
    /// The guest is over.
    GuestEnded(Ending),
    /// A guest has come in and runs, or waits for an operator.
    Arrived,
    /// No guest has come in; the text says why.
    NotArrived(String),
}

/// The guest, seen from this process.
#[derive(Debug)]
enum Guest {
    /// None yet, or none any more.
    Absent,
    /// On its way in.
    Incoming(Handle),
    /// Here, running or paused.
    Here(Arc<Vm>),
    /// Here, paused, and perhaps somewhere else too: an operator must decide. With a deed, where its memory was handed over.
    InDoubt(Arc<Vm>, Option<Deed>),
    /// Given away. It must never run here again, and so nothing of it is kept.
    GivenAway,
    /// Over.
    Ended,
}

#[derive(Debug)]
struct State {
    guest: Guest,
    /// Why it is this kind of machine, where another was hoped for.
    machine_reason: Option<String>,
    capabilities: Capabilities,
    parameters: Parameters,
    migration: MigrationRecord,
    /// The handle of the migration under way.
    outgoing: Option<Handle>,
    dirty_rate: DirtyRateRecord,
    /// A snapshot is being written.
    is_saving: bool,
}

/// The monitor of one machine. Clones are the same monitor.
#[derive(Clone, Debug)]
pub struct Monitor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    events: EventBroadcast,
    process: Sender<ProcessEvent>,
    vm_events: Sender<VmEvent>,
    /// What machines that come in have of this host.
    host: HostSide,
    state: Mutex<State>,
}

impl Monitor {
    /// A monitor without a guest yet. It tells clients through `events` and the process through `process`; machines that
    /// it builds report to `vm_events`, and have `host` of this host.
    #[must_use]
    pub fn new(
        events: EventBroadcast,
        process: Sender<ProcessEvent>,
        vm_events: Sender<VmEvent>,
        host: HostSide,
    ) -> Self {
        Self(Arc::new(Shared {
            events,
            process,
            vm_events,
            host,
            state: Mutex::new(State {
                guest: Guest::Absent,
                machine_reason: None,
                capabilities: Capabilities::default(),
                parameters: Parameters::default(),
                migration: MigrationRecord::default(),
                outgoing: None,
                dirty_rate: DirtyRateRecord::default(),
                is_saving: false,
            }),
        }))
    }

    /// Takes `vm` as the guest; `reason` says why it is this kind of machine, where another was hoped for.
    pub fn adopt(&self, vm: Arc<Vm>, reason: Option<String>) {
        let mut state = self.state();
        state.guest = Guest::Here(vm);
        state.machine_reason = reason;
    }

    /// The guest is over.
    pub fn guest_ended(&self, how: Ending) {
        self.state().guest = Guest::Ended;
        self.cancel_dirty_rate();
        let reason = match how {
            Ending::PowerOff => "guest-shutdown",
            Ending::Reset => "guest-reset",
            Ending::Failure(_) => "guest-panic",
        };
        self.emit(&EventKind::Shutdown { guest: true, reason: reason.to_owned() });
        self.tell_process(ProcessEvent::GuestEnded(how));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn emit(&self, event: &EventKind) {
        self.0.events.emit(event);
    }

    /// Events about the migration are sent only to those who asked for them, as in QEMU.
    fn emit_migration(&self, event: &EventKind) {
        if self.state().capabilities.events {
            self.emit(event);
        }
    }

    fn tell_process(&self, event: ProcessEvent) {
        // A process that listens no more is ending.
        let _ = self.0.process.send(event);
    }

    /// The guest, if it is here and not in doubt.
    fn vm(&self) -> Result<Arc<Vm>, QmpError> {
        match &self.state().guest {
            Guest::Here(vm) => Ok(Arc::clone(vm)),
            Guest::InDoubt(..) => Err(QmpError::generic(
                "it is in doubt whether the guest runs elsewhere; decide with x-landfall-settle (landfall settle SOCKET run|discard)",
            )),
            Guest::Absent => Err(QmpError::generic("there is no guest here")),
            Guest::Incoming(_) => Err(QmpError::generic("the guest is still on its way in")),
            Guest::GivenAway => {
                Err(QmpError::generic("the guest was given away and runs at the destination"))
            }
            Guest::Ended => Err(QmpError::generic("the guest has ended")),
        }
    }

    fn status(&self) -> StatusInfo {
        let state = self.state();
        let status = match &state.guest {
            Guest::Here(vm) if vm.is_held() => RunState::FinishMigrate,
            Guest::Here(vm) if vm.is_running() => RunState::Running,
            Guest::Here(_) | Guest::InDoubt(..) => RunState::Paused,
            Guest::Absent => RunState::Prelaunch,
            Guest::Incoming(_) => RunState::Inmigrate,
            Guest::GivenAway => RunState::Postmigrate,
            Guest::Ended => RunState::Shutdown,
        };
        StatusInfo::new(status)
    }

    fn stop(&self) -> Result<Value, QmpError> {
        self.vm()?.pause().map_err(failed)?;
        self.emit(&EventKind::Stop);
        Ok(json!({}))
    }

    fn cont(&self) -> Result<Value, QmpError> {
        let vm = self.vm()?;
        // The guest would not run whatever was answered, and may have been given away already.
        if vm.is_held() {
            return Err(QmpError::generic(
                "the guest is stopped for the switchover of its migration, or for a snapshot; ask again when that is over",
            ));
        }
        vm.resume().map_err(failed)?;
        self.emit(&EventKind::Resume);
        Ok(json!({}))
    }

    fn cpus(&self) -> Result<Value, QmpError> {
        let Ok(vm) = self.vm() else { return Ok(json!([])) };
        let cpus: Vec<CpuInfo> = (0..)
            .zip(vm.vcpu_threads())
            .map(|(cpu_index, thread_id)| CpuInfo {
                cpu_index,
                qom_path: format!("/machine/cpu[{cpu_index}]"),
                thread_id,
                target: std::env::consts::ARCH.to_owned(),
            })
            .collect();
        reply(&cpus)
    }

    fn vm_status(&self) -> Result<Value, QmpError> {
        let doubtful = match &self.state().guest {
            Guest::InDoubt(vm, _) => Some(Arc::clone(vm)),
            _ => None,
        };
        let in_doubt = doubtful.is_some();
        let vm = doubtful.map_or_else(|| self.vm(), Ok)?;
        let throttle = vm.throttle();
        let vcpus = (0..)
            .zip(vm.vcpu_states().into_iter().zip(throttle.stolen()))
            .map(|(index, (state, stolen))| VcpuStatus {
                index,
                state: match state {
                    vcpu::RunState::Running => VcpuState::Running,
                    vcpu::RunState::Throttled => VcpuState::Throttled,
                    vcpu::RunState::Paused => VcpuState::Paused,
                    vcpu::RunState::Finished => VcpuState::Finished,
                },
                stolen_ms: stolen.total.as_secs_f64() * 1e3,
                longest_stall_ms: stolen.longest_stall.as_secs_f64() * 1e3,
            })
            .collect();
        reply(&VmStatus {
            machine: machine_name(vm.configuration().machine).to_owned(),
            machine_reason: self.state().machine_reason.clone(),
            memory_bytes: vm.configuration().memory.0,
            in_doubt,
            vcpus,
            dirty_log: vm.is_logging(),
            dirty_log_kind: vm.dirty_log_kind().name().to_owned(),
            throttle: vm.throttled().share(),
            laps: match vm.laps() {
                Err(VmError::NoProbe) => None,
                laps => Some(laps.map_err(failed)?),
            },
        })
    }

    /// An operator decides over a guest that is in doubt.
    fn settle(&self, run: bool) -> Result<Value, QmpError> {
        let mut state = self.state();
        let Guest::InDoubt(vm, deed) = &mut state.guest else {
            return Err(QmpError::generic("nothing is in doubt here"));
        };
        let vm = Arc::clone(vm);
        if run {
            if deed.as_mut().is_some_and(|deed| !deed.take()) {
                return Err(QmpError::generic(
                    "the guest goes on in the process that was to hand it over, in the same memory; it can only be discarded here: landfall settle SOCKET discard",
                ));
            }
            vm.release().and_then(|()| vm.resume()).map_err(failed)?;
            state.guest = Guest::Here(vm);
            drop(state);
            self.emit(&EventKind::Resume);
        } else {
            state.guest = Guest::GivenAway;
        }
        Ok(json!({}))
    }

    fn quit(&self) -> Value {
        if let Guest::Incoming(handle) = &self.state().guest {
            handle.cancel();
        }
        self.cancel_dirty_rate();
        self.emit(&EventKind::Shutdown { guest: false, reason: "host-qmp-quit".to_owned() });
        self.tell_process(ProcessEvent::Quit);
        json!({})
    }
}

impl Handler for Monitor {
    fn handle(&self, command: Command) -> Result<Value, QmpError> {
        match command {
            Command::QueryStatus => reply(&self.status()),
            Command::QueryName => Ok(json!({})),
            Command::QueryCpusFast => self.cpus(),
            Command::Stop => self.stop(),
            Command::Cont => self.cont(),
            Command::SystemPowerdown => Err(QmpError::generic("The machine has no power button")),
            Command::Quit => Ok(self.quit()),
            Command::Balloon { value } => self.balloon(value),
            Command::QueryBalloon => self.query_balloon(),
            Command::QueryBalloonStats => self.query_balloon_stats(),
            Command::MigrateSetCapabilities(changes) => {
                let mut state = self.state();
                state.capabilities = state.capabilities.with(&changes)?;
                Ok(json!({}))
            }
            Command::QueryMigrateCapabilities => reply(&self.state().capabilities.states()),
            Command::MigrateSetParameters(update) => self.set_parameters(&update),
            Command::QueryMigrateParameters => reply(&self.state().parameters),
            Command::Migrate { uri } => self.migrate(&uri),
            Command::MigrateIncoming { uri } => self.migrate_incoming(&uri),
            Command::MigrateCancel => Ok(self.migrate_cancel()),
            Command::QueryMigrate => reply(&self.state().migration.info()),
            Command::CalcDirtyRate(request) => self.calc_dirty_rate(&request),
            Command::QueryDirtyRate { unit } => self.query_dirty_rate(unit),
            Command::CheckGuest => reply(&self.vm()?.check().map_err(failed)?),
            Command::QueryVm => self.vm_status(),
            Command::Settle { run } => self.settle(run),
            Command::Snapshot { file, stop } => self.snapshot(Path::new(&file), stop),
            Command::QueryConfiguration => self.configuration(),
            Command::CheckConfiguration { configuration } => {
                self.check_configuration(&configuration)
            }
        }
    }
}

fn reply(value: &impl Serialize) -> Result<Value, QmpError> {
    serde_json::to_value(value).map_err(|error| QmpError::generic(error.to_string()))
}

/// An error with all of its sources, as one text.
fn failed(error: impl std::error::Error) -> QmpError {
    QmpError::generic(chain(&error))
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

fn machine_name(kind: MachineKind) -> &'static str {
    match kind {
        MachineKind::Kvm => "kvm",
        MachineKind::Synthetic => "synthetic",
        MachineKind::Qemu => "qemu",
    }
}
