//! Puts a machine together from its parts.

pub(super) mod pc;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use landfall_migrate::machine::DirtyLog;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{DirtyLogChoice, VmError, VmEvent, form};
use crate::devices::{Board, ProbeBoard, SavedDevices};
use crate::kvm::{DirtyTracking, KvmCpu, KvmError, KvmVm, LongModeEntry, has_dirty_ring};
use crate::memory::GuestRam;
use crate::pc::Processor;
use crate::probe::{self, CODE_ADDRESS, Plan};
use crate::synthetic::{SoftwareLog, SyntheticCpu, SyntheticDirtyLog, TICKS_PER_SECOND};
use crate::vcpu::{Cpu, Gate, VcpuThread};

/// A machine's whole state but its memory, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Saved<S> {
    /// In which form the rest is.
    #[serde(default = "form::first_form")]
    pub(super) form: u32,
    pub(super) devices: SavedDevices,
    pub(super) vcpus: Vec<S>,
}

/// The vCPU threads of a machine, whatever their make.
pub(super) trait Vcpus: Send + Sync {
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
        let saved = Saved { form: form::FORM, devices, vcpus: vcpus.map_err(VmError::Cpu)? };
        serde_json::to_vec(&saved).map_err(VmError::Unwritten)
    }

    fn load(&self, state: &[u8]) -> Result<SavedDevices, VmError> {
        let saved: Saved<C::State> = form::read(state).map_err(VmError::State)?;
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
pub(super) enum Contents {
    Fresh,
    Incoming,
}

type ThreadsAndGates = (Box<dyn Vcpus>, Vec<Arc<Gate>>);

/// A machine, but for its memory.
pub(super) struct Parts {
    pub(super) vcpus: Box<dyn Vcpus>,
    pub(super) gates: Vec<Arc<Gate>>,
    pub(super) dirty_log: Box<dyn DirtyLog>,
    pub(super) board: Arc<dyn Board>,
    /// What a guest in it sees of its processor, where this matters.
    pub(super) processor: Option<Processor>,
}

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
            VcpuThread::spawn(index, cpu, move |how| drop(events.send(VmEvent::Ended(how))))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(VmError::Thread)?;
    let gates = threads.iter().map(|thread| Arc::clone(thread.gate())).collect();
    Ok((Box::new(Threads(threads)), gates))
}

/// Entries in a vCPU's ring: 256 MiB of pages, so that a vCPU at full speed does not fill it between two readings.
const RING_ENTRIES: u32 = 65_536;

/// How a machine in KVM is to record writes on this host.
pub(super) fn tracking(
    choice: DirtyLogChoice,
    vcpus: usize,
    contents: Contents,
) -> Result<DirtyTracking, KvmError> {
    let ring =
        |entries: Option<u32>| DirtyTracking::Ring { entries: entries.unwrap_or(RING_ENTRIES) };
    match choice {
        DirtyLogChoice::Bitmap => Ok(DirtyTracking::Bitmap),
        DirtyLogChoice::Ring { entries } if has_dirty_ring() => Ok(ring(entries)),
        // A guest that comes in is not refused for what its source had.
        DirtyLogChoice::Ring { .. } if contents == Contents::Incoming => Ok(DirtyTracking::Bitmap),
        DirtyLogChoice::Ring { .. } => Err(KvmError::NoRing),
        DirtyLogChoice::Auto if vcpus > 1 && has_dirty_ring() => Ok(ring(None)),
        DirtyLogChoice::Auto => Ok(DirtyTracking::Bitmap),
    }
}

pub(super) fn kvm_machine(
    plan: &Plan,
    ram: &Arc<GuestRam>,
    tracking: DirtyTracking,
    contents: Contents,
    events: &Sender<VmEvent>,
) -> Result<Parts, VmError> {
    let vm = Arc::new(KvmVm::new(Arc::clone(ram), tracking)?);
    let board: Arc<dyn Board> = Arc::new(ProbeBoard::new(Box::new(io::stdout())));
    let cpus = (0..plan.vcpus.len())
        .map(|index| KvmCpu::new(&vm, index, Arc::clone(&board)))
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
    Ok(Parts { vcpus, gates, dirty_log: vm.dirty_log(), board, processor: None })
}

pub(super) fn synthetic_machine(
    plan: &Plan,
    ram: &Arc<GuestRam>,
    dirty_log: DirtyLogChoice,
    contents: Contents,
    events: &Sender<VmEvent>,
) -> Result<Parts, VmError> {
    if contents == Contents::Fresh {
        if matches!(dirty_log, DirtyLogChoice::Ring { .. }) {
            return Err(VmError::RingWithoutKvm);
        }
        probe::install(plan, ram, TICKS_PER_SECOND)?;
    }
    let logs: Vec<_> = plan.vcpus.iter().map(|_| Arc::new(SoftwareLog::new(ram))).collect();
    let cpus = plan
        .vcpus
        .iter()
        .zip(&logs)
        .map(|(range, log)| SyntheticCpu::new(Arc::clone(ram), Arc::clone(log), *range))
        .collect();
    let (vcpus, gates) = spawn::<SyntheticCpu>(cpus, events)?;
    let attributes = dirty_log != DirtyLogChoice::Bitmap;
    let dirty_log = Box::new(SyntheticDirtyLog::new(logs, Arc::clone(ram), attributes));
    let board = Arc::new(ProbeBoard::new(Box::new(io::stdout())));
    Ok(Parts { vcpus, gates, dirty_log, board, processor: None })
}
