//! A machine: memory, vCPUs, devices and dirty log put together, whatever runs the guest.

mod assembly;
mod balloon;
mod configuration;
mod dirty_log_choice;
mod error;
mod form;
mod guest;
mod host_side;
mod incoming_host;
mod movable;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landfall_converge::Throttle;
use landfall_migrate::machine::{DirtyLog, DirtyLogKind, MachineKind, VcpuThrottle};
use landfall_qmp::GuestCheck;

use self::assembly::{Contents, Parts, Vcpus, kvm_machine, pc, synthetic_machine, tracking};
pub use self::configuration::Configuration;
pub use self::dirty_log_choice::{DirtyLogChoice, ParseDirtyLogError};
pub use self::error::VmError;
pub use self::form::FormError;
pub use self::guest::{Guest, KernelGuest};
pub use self::host_side::HostSide;
pub use self::incoming_host::IncomingHost;
use self::movable::GateThrottle;
pub use self::movable::Movable;
use crate::devices::Board;
use crate::kvm::{KvmError, is_available};
use crate::memory::GuestRam;
use crate::probe::{self, Plan};
use crate::vcpu::{Ending, Gate, RunState};

/// A vCPU stops within some 30 µs; one that has not after this long never will.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens to a machine of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmEvent {
    /// The guest is over.
    Ended(Ending),
    /// The guest keeps more or less memory than when somebody looked last.
    BalloonChanged,
}

/// A virtual machine and its guest.
pub struct Vm {
    configuration: Configuration,
    /// Of a probe.
    plan: Option<Plan>,
    ram: Arc<GuestRam>,
    board: Arc<dyn Board>,
    vcpus: Box<dyn Vcpus>,
    gates: Vec<Arc<Gate>>,
    dirty_log: Mutex<Box<dyn DirtyLog>>,
    dirty_log_kind: DirtyLogKind,
    logging: AtomicBool,
    intent: Mutex<Intent>,
}

/// Whether the guest should run: only where its users want it to, and no migration holds it.
#[derive(Clone, Copy, Debug, Default)]
struct Intent {
    wanted: bool,
    held: bool,
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm").field("configuration", &self.configuration).finish_non_exhaustive()
    }
}

/// The kind of machine that this host can run: KVM where it can be used, synthetic with the reason elsewhere.
#[must_use]
pub fn best_machine() -> (MachineKind, Option<KvmError>) {
    match is_available() {
        Ok(()) => (MachineKind::Kvm, None),
        Err(error) => (MachineKind::Synthetic, Some(error)),
    }
}

impl Vm {
    /// A machine with its guest in it, paused.
    ///
    /// # Errors
    /// When it cannot be made on this host.
    pub fn new(
        configuration: Configuration,
        events: &Sender<VmEvent>,
    ) -> Result<Arc<Self>, VmError> {
        Self::on(&HostSide::default(), configuration, events)
    }

    /// A machine with its guest in it, paused, and with what it has of this host.
    ///
    /// # Errors
    /// When it cannot be made on this host.
    pub fn on(
        host: &HostSide,
        configuration: Configuration,
        events: &Sender<VmEvent>,
    ) -> Result<Arc<Self>, VmError> {
        let ram = GuestRam::with_pages(configuration.memory, configuration.huge_pages)?;
        Self::build(host, configuration, ram, Contents::Fresh, events)
    }

    fn build(
        host: &HostSide,
        mut configuration: Configuration,
        ram: GuestRam,
        contents: Contents,
        events: &Sender<VmEvent>,
    ) -> Result<Arc<Self>, VmError> {
        let ram = Arc::new(ram);
        let (plan, parts) = Self::parts(host, &configuration, &ram, contents, events)?;
        let Parts { vcpus, gates, dirty_log, board, processor } = parts;
        if let Guest::Kernel(guest) = &mut configuration.guest {
            guest.processor = guest.processor.take().or(processor);
        }
        Ok(Arc::new(Self {
            configuration,
            plan,
            ram,
            board,
            vcpus,
            gates,
            dirty_log_kind: dirty_log.kind(),
            dirty_log: Mutex::new(dirty_log),
            logging: AtomicBool::new(false),
            intent: Mutex::new(Intent::default()),
        }))
    }

    fn parts(
        host: &HostSide,
        configuration: &Configuration,
        ram: &Arc<GuestRam>,
        contents: Contents,
        events: &Sender<VmEvent>,
    ) -> Result<(Option<Plan>, Parts), VmError> {
        let Configuration { machine, vcpus, dirty_log, .. } = *configuration;
        let tracking = || tracking(dirty_log, vcpus, contents);
        match (&configuration.guest, machine) {
            (Guest::Probe(workload), MachineKind::Kvm) => {
                let plan = Plan::new(*workload, vcpus, ram)?;
                let parts = kvm_machine(&plan, ram, tracking()?, contents, events)?;
                Ok((Some(plan), parts))
            }
            (Guest::Probe(workload), MachineKind::Synthetic | MachineKind::Qemu) => {
                let plan = Plan::new(*workload, vcpus, ram)?;
                let parts = synthetic_machine(&plan, ram, dirty_log, contents, events)?;
                Ok((Some(plan), parts))
            }
            (Guest::Kernel(guest), MachineKind::Kvm) => {
                let tracking = tracking()?;
                let parts = pc::machine(host, guest, vcpus, ram, tracking, contents, events)?;
                Ok((None, parts))
            }
            (Guest::Kernel(_), MachineKind::Synthetic | MachineKind::Qemu) => {
                Err(VmError::KernelWithoutKvm)
            }
        }
    }

    /// What the machine is made from.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Whether the guest runs as far as its users are concerned: also while a switchover holds it for a moment.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.intent().wanted
    }

    /// Whether a migration holds the guest.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.intent().held
    }

    fn intent(&self) -> MutexGuard<'_, Intent> {
        self.intent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the guest for its users, and returns when every vCPU has stopped.
    ///
    /// # Errors
    /// When a vCPU does not stop.
    pub fn pause(&self) -> Result<(), VmError> {
        let mut intent = self.intent();
        intent.wanted = false;
        self.carry_out(*intent)
    }

    /// Lets the guest run for its users; it waits where a migration holds it.
    ///
    /// # Errors
    /// When the guest is over.
    pub fn resume(&self) -> Result<(), VmError> {
        let mut intent = self.intent();
        intent.wanted = true;
        let carried_out = self.carry_out(*intent);
        // What does not run is not shown as running.
        intent.wanted = carried_out.is_ok();
        carried_out
    }

    /// Stops the guest for a migration, and returns when every vCPU has stopped: whether it ran until then. Nobody but
    /// [`Vm::release`] lets it run again.
    ///
    /// # Errors
    /// When a vCPU does not stop.
    pub fn hold(&self) -> Result<bool, VmError> {
        let mut intent = self.intent();
        intent.held = true;
        self.carry_out(*intent)?;
        Ok(intent.wanted)
    }

    /// The migration lets the guest go: it runs again if its users want it to.
    ///
    /// # Errors
    /// When the guest is over, or somebody else has what it needs; it is paused then.
    pub fn release(&self) -> Result<(), VmError> {
        let mut intent = self.intent();
        intent.held = false;
        // Also for a guest that its users have paused: it was to be given away, and is not.
        if let Err(error) = self.board.claim() {
            // It does not run, and so its users see, who may try again.
            intent.wanted = false;
            return Err(error.into());
        }
        self.carry_out(*intent)
    }

    fn carry_out(&self, intent: Intent) -> Result<(), VmError> {
        if intent.wanted && !intent.held {
            if self.gates.iter().any(|gate| gate.state() == RunState::Finished) {
                return Err(VmError::Ended);
            }
            self.board.claim()?;
            self.board.start();
            self.gates.iter().for_each(|gate| gate.run());
            return Ok(());
        }
        // All are asked before the first is waited for, so that they stop together.
        self.gates.iter().for_each(|gate| gate.pause());
        for gate in &self.gates {
            gate.wait_stopped(STOP_TIMEOUT)?;
        }
        // Devices last: what a vCPU began with its last instruction is done, too.
        self.board.stop();
        Ok(())
    }

    /// What each vCPU does.
    #[must_use]
    pub fn vcpu_states(&self) -> Vec<RunState> {
        self.gates.iter().map(|gate| gate.state()).collect()
    }

    /// The hardest throttle of any vCPU now.
    #[must_use]
    pub fn throttled(&self) -> Throttle {
        let duties = self.gates.iter().filter_map(|gate| gate.duty());
        duties.map(|duty| duty.throttle()).fold(Throttle::NONE, Throttle::max)
    }

    /// The numbers of the threads that run the vCPUs, as the kernel knows them; 0 for one that has not begun.
    #[must_use]
    pub fn vcpu_threads(&self) -> Vec<i32> {
        self.gates.iter().map(|gate| gate.thread_id()).collect()
    }

    /// Whether guest writes are being logged.
    #[must_use]
    pub fn is_logging(&self) -> bool {
        self.logging.load(Ordering::Acquire)
    }

    /// How guest writes are logged, when they are.
    #[must_use]
    pub fn dirty_log_kind(&self) -> DirtyLogKind {
        self.dirty_log_kind
    }

    /// The throttle of this machine.
    #[must_use]
    pub fn throttle(self: &Arc<Self>) -> Arc<dyn VcpuThrottle> {
        Arc::new(GateThrottle(Arc::clone(self)))
    }

    /// Verifies every page of the guest; stops it meanwhile if it runs.
    ///
    /// # Errors
    /// When the guest is no probe, does not stop, or its memory cannot be read.
    pub fn check(&self) -> Result<GuestCheck, VmError> {
        let plan = self.plan.as_ref().ok_or(VmError::NoProbe)?;
        // Held by this lock, so that neither users nor a migration start the guest meanwhile.
        let intent = self.intent();
        self.carry_out(Intent { held: true, ..*intent })?;
        let checked = probe::check(plan, &self.ram);
        self.carry_out(*intent)?;
        Ok(checked?)
    }

    /// How many times the slowest vCPU has gone over its working set, without stopping the guest. One that only computes
    /// has none.
    ///
    /// # Errors
    /// When the guest is no probe, or its memory cannot be read.
    pub fn laps(&self) -> Result<f64, VmError> {
        let laps = |range: &probe::VcpuRange| {
            let work = range.get(&self.ram, probe::ControlBlock::Work)?;
            Ok::<_, VmError>(work as f64 / range.pages as f64)
        };
        let plan = self.plan.as_ref().ok_or(VmError::NoProbe)?;
        let visitors = plan.vcpus.iter().filter(|range| range.pages > 0);
        let laps = visitors.map(laps).collect::<Result<Vec<_>, _>>()?;
        Ok(laps.into_iter().fold(f64::INFINITY, f64::min))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "machine/pc_tests.rs"]
mod pc_tests;

#[cfg(test)]
#[path = "machine/taken_over_tests.rs"]
mod taken_over_tests;
