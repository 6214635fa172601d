//! A machine as a migration sees it, at either end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use landfall_converge::VcpuThrottles;
use landfall_migrate::machine::{
    Destination, DirtyLog, DirtyLogKind, DirtySink, GuestMemory, MachineError, MachineKind,
    MemoryFile, Source, StolenTime, VcpuThrottle,
};

use super::Vm;
use crate::devices::Flusher;

pub(super) struct GateThrottle(pub(super) Arc<Vm>);

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
pub struct Movable {
    vm: Arc<Vm>,
    /// While writes are logged.
    flusher: Option<Flusher>,
}

impl Movable {
    /// Makes `vm` movable.
    #[must_use]
    pub fn new(vm: Arc<Vm>) -> Self {
        Self { vm, flusher: None }
    }
}

impl Source for Movable {
    fn kind(&self) -> MachineKind {
        self.vm.configuration.machine
    }

    fn configuration(&self) -> Vec<u8> {
        // A configuration is plain data: turning it into JSON cannot fail.
        serde_json::to_vec(&self.vm.configuration).unwrap_or_default()
    }

    fn memory(&self) -> Arc<dyn GuestMemory> {
        Arc::clone(&self.vm.ram) as Arc<dyn GuestMemory>
    }

    fn memory_files(&self) -> Result<Vec<MemoryFile>, MachineError> {
        Ok(self.vm.ram.files()?)
    }

    fn dirty_log(&mut self) -> &mut dyn DirtyLog {
        self
    }

    fn throttle(&self) -> Arc<dyn VcpuThrottle> {
        self.vm.throttle()
    }

    fn pause(&mut self) -> Result<bool, MachineError> {
        Ok(self.vm.hold()?)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(self.vm.release()?)
    }

    fn save(&mut self) -> Result<Vec<u8>, MachineError> {
        // The destination may be on another host, which sees only what has reached the disk.
        self.vm.board.flush()?;
        self.save_here()
    }

    fn save_here(&mut self) -> Result<Vec<u8>, MachineError> {
        Ok(self.vm.vcpus.save(self.vm.board.save()?)?)
    }

    fn let_go(&mut self) {
        self.vm.board.let_go();
    }
}

impl Movable {
    fn log(&self) -> MutexGuard<'_, Box<dyn DirtyLog>> {
        self.vm.dirty_log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DirtyLog for Movable {
    fn kind(&self) -> DirtyLogKind {
        self.vm.dirty_log_kind
    }

    fn start(&mut self) -> Result<(), MachineError> {
        self.log().start()?;
        self.vm.logging.store(true, Ordering::Release);
        self.flusher = self.vm.board.flusher();
        Ok(())
    }

    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        self.log().harvest(sink)
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        self.flusher = None;
        self.log().stop()?;
        self.vm.logging.store(false, Ordering::Release);
        Ok(())
    }
}

impl Destination for Movable {
    fn memory(&self) -> Arc<dyn GuestMemory> {
        Source::memory(self)
    }

    fn load(&mut self, state: &[u8]) -> Result<(), MachineError> {
        let devices = self.vm.vcpus.load(state)?;
        Ok(self.vm.board.load(&devices)?)
    }

    fn claim(&mut self) -> Result<(), MachineError> {
        Ok(self.vm.board.claim()?)
    }

    fn let_go(&mut self) {
        self.vm.board.let_go();
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        Ok(self.vm.resume()?)
    }
}
