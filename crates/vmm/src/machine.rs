//! A machine: memory, vCPUs, devices and dirty log put together, whatever runs the guest.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use landfall_converge::{Bytes, Throttle, VcpuThrottles};
use landfall_migrate::machine::{
    Destination, DirtyLog, DirtySink, GuestMemory, Host, MachineError, MachineKind, Source,
    StolenTime, VcpuThrottle,
};
use landfall_qmp::GuestCheck;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::devices::{DeviceStateError, PortBus, SavedDevices};
use crate::kvm::{KvmCpu, KvmError, KvmVm, LongModeEntry, is_available};
use crate::memory::{GuestRam, MemoryError};
use crate::probe::{self, CODE_ADDRESS, Plan, PlanError, ProbeError, Workload};
use crate::synthetic::{SoftwareLog, SyntheticCpu, SyntheticDirtyLog, TICKS_PER_SECOND};
use crate::vcpu::{Cpu, CpuError, Gate, PauseTimeout, RunState, VcpuThread};

/// A vCPU stops within some 30 µs; one that has not after this long never will.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What a machine is made from. It travels in the hand-shake, so that a destination needs no copy of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// What runs the guest.
    pub machine: MachineKind,
    /// How much memory the guest has.
    pub memory: Bytes,
    /// How many vCPUs.
    pub vcpus: usize,
    /// What the probe guest does.
    pub workload: Workload,
}

/// Why a machine could not be made, or not be controlled.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// KVM.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The guest does not fit.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The guest could not be put into memory.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// No thread for a vCPU.
    #[error(
        "the system gives no thread for a vCPU; lower the load or raise the limit on processes"
    )]
    Thread(#[source] io::Error),
    /// A vCPU does not stop.
    #[error(transparent)]
    Pause(#[from] PauseTimeout),
    /// A vCPU's state.
    #[error("the state of a vCPU cannot be moved")]
    Cpu(#[source] CpuError),
    /// The devices' state.
    #[error(transparent)]
    Devices(#[from] DeviceStateError),
    /// The state came from another version or another machine.
    #[error(
        "the saved state cannot be read; source and destination must run the same version of Landfall"
    )]
    State(#[source] serde_json::Error),
    /// The state has another number of vCPUs.
    #[error("the saved state has {0} vCPUs, the machine has {1}")]
    Vcpus(usize, usize),
    /// The guest is over.
    #[error("the guest has ended and cannot run again")]
    Ended,
}

/// What happens to a machine of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmEvent {
    /// The guest is over; the text says why.
    Ended(String),
}

/// A machine's whole state but its memory, as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct Saved<S> {
    devices: SavedDevices,
    vcpus: Vec<S>,
}

/// A virtual machine and its guest.
pub struct Vm {
    configuration: Configuration,
    plan: Plan,
    ram: Arc<GuestRam>,
    ports: Arc<PortBus>,
    vcpus: Box<dyn Vcpus>,
    gates: Vec<Arc<Gate>>,
    dirty_log: Mutex<Box<dyn DirtyLog>>,
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

/// The vCPU threads of a machine, whatever their make.
trait Vcpus: Send + Sync {
    fn save(&self, devices: SavedDevices) -> Result<Vec<u8>, VmError>;
    fn load(&self, state: &[u8]) -> Result<SavedDevices, VmError>;
}

struct Threads<C: Cpu>(Vec<VcpuThread<C>>);

impl<C: Cpu> Vcpus for Threads<C>
where
    C::State: Serialize + DeserializeOwned,
{
    fn save(&self, devices: SavedDevices) -> Result<Vec<u8>, VmError> {
        let vcpus = self.0.iter().map(|thread| thread.cpu().save()).collect::<Result<Vec<_>, _>>();
        let saved = Saved { devices, vcpus: vcpus.map_err(VmError::Cpu)? };
        serde_json::to_vec(&saved).map_err(VmError::State)
    }

    fn load(&self, state: &[u8]) -> Result<SavedDevices, VmError> {
        let saved: Saved<C::State> = serde_json::from_slice(state).map_err(VmError::State)?;
        if saved.vcpus.len() != self.0.len() {
            return Err(VmError::Vcpus(saved.vcpus.len(), self.0.len()));
        }
        for (thread, state) in self.0.iter().zip(saved.vcpus) {
            thread.cpu().load(state).map_err(VmError::Cpu)?;
        }
        Ok(saved.devices)
    }
}

/// Whether the guest is put into a new machine, or will be moved in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contents {
    Fresh,
    Incoming,
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
        Self::build(configuration, Contents::Fresh, events)
    }

    fn build(
        configuration: Configuration,
        contents: Contents,
        events: &Sender<VmEvent>,
    ) -> Result<Arc<Self>, VmError> {
        let ram = Arc::new(GuestRam::new(configuration.memory)?);
        let plan = Plan::new(configuration.workload, configuration.vcpus, &ram)?;
        let ports = Arc::new(PortBus::new(Box::new(io::stdout())));
        let (vcpus, gates, dirty_log) = match configuration.machine {
            MachineKind::Kvm => kvm_machine(&plan, &ram, &ports, contents, events)?,
            MachineKind::Synthetic | MachineKind::Qemu => {
                synthetic_machine(&plan, &ram, contents, events)?
            }
        };
        Ok(Arc::new(Self {
            configuration,
            plan,
            ram,
            ports,
            vcpus,
            gates,
            dirty_log: Mutex::new(dirty_log),
            logging: AtomicBool::new(false),
            intent: Mutex::new(Intent::default()),
        }))
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
        self.carry_out(*intent)
    }

    /// Stops the guest for a migration, and returns when every vCPU has stopped. Nobody but [`Vm::release`] lets it run
    /// again.
    ///
    /// # Errors
    /// When a vCPU does not stop.
    pub fn hold(&self) -> Result<(), VmError> {
        let mut intent = self.intent();
        intent.held = true;
        self.carry_out(*intent)
    }

    /// The migration lets the guest go: it runs again if its users want it to.
    ///
    /// # Errors
    /// When the guest is over.
    pub fn release(&self) -> Result<(), VmError> {
        let mut intent = self.intent();
        intent.held = false;
        self.carry_out(*intent)
    }

    fn carry_out(&self, intent: Intent) -> Result<(), VmError> {
        if intent.wanted && !intent.held {
            if self.gates.iter().any(|gate| gate.state() == RunState::Finished) {
                return Err(VmError::Ended);
            }
            self.gates.iter().for_each(|gate| gate.run());
            return Ok(());
        }
        // All are asked before the first is waited for, so that they stop together.
        self.gates.iter().for_each(|gate| gate.pause());
        for gate in &self.gates {
            gate.wait_stopped(STOP_TIMEOUT)?;
        }
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

    /// The throttle of this machine.
    #[must_use]
    pub fn throttle(self: &Arc<Self>) -> Arc<dyn VcpuThrottle> {
        Arc::new(GateThrottle(Arc::clone(self)))
    }

    /// Verifies every page of the guest; stops it meanwhile if it runs.
    ///
    /// # Errors
    /// When the guest does not stop or its memory cannot be read.
    pub fn check(&self) -> Result<GuestCheck, VmError> {
        // Held by this lock, so that neither users nor a migration start the guest meanwhile.
        let intent = self.intent();
        self.carry_out(Intent { held: true, ..*intent })?;
        let checked = probe::check(&self.plan, &self.ram);
        self.carry_out(*intent)?;
        Ok(checked?)
    }

    /// How many times the slowest vCPU has gone over its working set, without stopping the guest.
    ///
    /// # Errors
    /// When guest memory cannot be read.
    pub fn laps(&self) -> Result<f64, VmError> {
        let laps = |range: &probe::VcpuRange| {
            let work = range.get(&self.ram, probe::ControlBlock::Work)?;
            Ok::<_, VmError>(work as f64 / range.pages as f64)
        };
        let laps = self.plan.vcpus.iter().map(laps).collect::<Result<Vec<_>, _>>()?;
        Ok(laps.into_iter().fold(f64::INFINITY, f64::min))
    }
}

type ThreadsAndGates = (Box<dyn Vcpus>, Vec<Arc<Gate>>);
type Parts = (Box<dyn Vcpus>, Vec<Arc<Gate>>, Box<dyn DirtyLog>);

fn spawn<C>(cpus: Vec<C>, events: &Sender<VmEvent>) -> Result<ThreadsAndGates, VmError>
where
    C: Cpu,
    C::State: Serialize + DeserializeOwned,
{
    let threads = cpus
        .into_iter()
        .enumerate()
        .map(|(index, cpu)| {
            let events = events.clone();
            // Nobody listening means that the process is ending anyway.
            VcpuThread::spawn(index, cpu, move |why| drop(events.send(VmEvent::Ended(why))))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(VmError::Thread)?;
    let gates = threads.iter().map(|thread| Arc::clone(thread.gate())).collect();
    Ok((Box::new(Threads(threads)), gates))
}

fn kvm_machine(
    plan: &Plan,
    ram: &Arc<GuestRam>,
    ports: &Arc<PortBus>,
    contents: Contents,
    events: &Sender<VmEvent>,
) -> Result<Parts, VmError> {
    let vm = Arc::new(KvmVm::new(Arc::clone(ram))?);
    let cpus = (0..plan.vcpus.len())
        .map(|index| KvmCpu::new(&vm, index, Arc::clone(ports)))
        .collect::<Result<Vec<_>, _>>()?;
    if contents == Contents::Fresh {
        if let Some(cpu) = cpus.first() {
            probe::install(plan, ram, cpu.tsc_frequency()?)?;
        }
        for (cpu, range) in cpus.iter().zip(&plan.vcpus) {
            cpu.enter_long_mode(&LongModeEntry {
                code: CODE_ADDRESS,
                stack: range.control + landfall_converge::PAGE_SIZE,
                root_table: probe::ROOT_TABLE,
                argument: range.control,
            })?;
        }
    }
    let (vcpus, gates) = spawn(cpus, events)?;
    Ok((vcpus, gates, Box::new(vm.dirty_log())))
}

fn synthetic_machine(
    plan: &Plan,
    ram: &Arc<GuestRam>,
    contents: Contents,
    events: &Sender<VmEvent>,
) -> Result<Parts, VmError> {
    if contents == Contents::Fresh {
        probe::install(plan, ram, TICKS_PER_SECOND)?;
    }
    let log = Arc::new(SoftwareLog::new(ram));
    let cpus = plan
        .vcpus
        .iter()
        .map(|range| SyntheticCpu::new(Arc::clone(ram), Arc::clone(&log), *range))
        .collect();
    let (vcpus, gates) = spawn::<SyntheticCpu>(cpus, events)?;
    Ok((vcpus, gates, Box::new(SyntheticDirtyLog::new(log, Arc::clone(ram)))))
}

struct GateThrottle(Arc<Vm>);

impl VcpuThrottle for GateThrottle {
    fn set(&self, throttles: &VcpuThrottles) {
        let count = u32::try_from(self.0.gates.len()).unwrap_or(u32::MAX);
        for ((index, place), gate) in (0..).zip(0u32..).zip(&self.0.gates) {
            let duty = throttles.of(index);
            let offset = match duty {
                Some(duty) if duty.staggered() => duty.period() * place / count,
                _ => Duration::ZERO,
            };
            gate.throttle(duty, offset);
        }
    }

    fn stolen(&self) -> Vec<StolenTime> {
        self.0.gates.iter().map(|gate| gate.stolen()).collect()
    }

    fn reset_stolen(&self) {
        for gate in &self.0.gates {
            gate.reset_stolen();
        }
    }
}

/// A machine on its way from one process to another: what a migration holds of it, at either end.
#[derive(Debug)]
pub struct Movable(Arc<Vm>);

impl Movable {
    /// Makes `vm` movable.
    #[must_use]
    pub fn new(vm: Arc<Vm>) -> Self {
        Self(vm)
    }
}

impl Source for Movable {
    fn kind(&self) -> MachineKind {
        self.0.configuration.machine
    }

    fn configuration(&self) -> Vec<u8> {
        // A configuration is plain data: turning it into JSON cannot fail.
        serde_json::to_vec(&self.0.configuration).unwrap_or_default()
    }

    fn memory(&self) -> Arc<dyn GuestMemory> {
        Arc::clone(&self.0.ram) as Arc<dyn GuestMemory>
    }

    fn dirty_log(&mut self) -> &mut dyn DirtyLog {
        self
    }

    fn throttle(&self) -> Arc<dyn VcpuThrottle> {
        self.0.throttle()
    }

    fn is_running(&self) -> bool {
        self.0.is_running()
    }

    fn pause(&mut self) -> Result<(), MachineError> {
        Ok(self.0.hold()?)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(self.0.release()?)
    }

    fn save(&mut self) -> Result<Vec<u8>, MachineError> {
        Ok(self.0.vcpus.save(self.0.ports.save())?)
    }
}

impl Movable {
    fn log(&self) -> MutexGuard<'_, Box<dyn DirtyLog>> {
        self.0.dirty_log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DirtyLog for Movable {
    fn start(&mut self) -> Result<(), MachineError> {
        self.log().start()?;
        self.0.logging.store(true, Ordering::Release);
        Ok(())
    }

    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        self.log().harvest(sink)
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        self.log().stop()?;
        self.0.logging.store(false, Ordering::Release);
        Ok(())
    }
}

impl Destination for Movable {
    fn memory(&self) -> Arc<dyn GuestMemory> {
        Source::memory(self)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), MachineError> {
        let devices = self.0.vcpus.load(state)?;
        Ok(self.0.ports.load(&devices, Box::new(io::stdout()))?)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(self.0.resume()?)
    }
}

/// Builds machines as a source asks for them.
#[derive(Debug)]
pub struct IncomingHost {
    events: Sender<VmEvent>,
    /// The machine that was built last.
    built: Option<Arc<Vm>>,
}

impl IncomingHost {
    /// A host whose machines report to `events`.
    #[must_use]
    pub fn new(events: Sender<VmEvent>) -> Self {
        Self { events, built: None }
    }

    /// The machine that was built last.
    #[must_use]
    pub fn machine(&self) -> Option<Arc<Vm>> {
        self.built.clone()
    }
}

impl Host for IncomingHost {
    fn build(&mut self, configuration: &[u8]) -> Result<Box<dyn Destination>, MachineError> {
        let configuration: Configuration = serde_json::from_slice(configuration)?;
        // One that failed half-way must give its memory back before the next takes its own.
        self.built = None;
        let vm = Vm::build(configuration, Contents::Incoming, &self.events)?;
        self.built = Some(Arc::clone(&vm));
        Ok(Box::new(Movable(vm)))
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
