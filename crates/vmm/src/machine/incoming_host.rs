//! Builds the machines that come in.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use landfall_migrate::machine::{Destination, Host, MachineError, MemoryFile};

use super::assembly::Contents;
use super::{Configuration, HostSide, Movable, Vm, VmError, VmEvent, form};
use crate::memory::{GuestRam, MemoryError};

/// Builds machines as a source asks for them.
#[derive(Debug)]
pub struct IncomingHost {
    events: Sender<VmEvent>,
    host: HostSide,
    /// The machine that was built last.
    built: Option<Arc<Vm>>,
}

impl IncomingHost {
    /// A host whose machines report to `events`.
    #[must_use]
    pub fn new(events: Sender<VmEvent>) -> Self {
        Self::on(HostSide::default(), events)
    }

    /// A host whose machines report to `events`, and have `host` of it.
    #[must_use]
    pub fn on(host: HostSide, events: Sender<VmEvent>) -> Self {
        Self { events, host, built: None }
    }

    /// The machine that was built last.
    #[must_use]
    pub fn machine(&self) -> Option<Arc<Vm>> {
        self.built.clone()
    }
}

impl IncomingHost {
    fn build_in(
        &mut self,
        configuration: &[u8],
        ram: impl FnOnce(&Configuration) -> Result<GuestRam, MemoryError>,
    ) -> Result<Box<dyn Destination>, MachineError> {
        let configuration: Configuration =
            form::read(configuration).map_err(VmError::Configuration)?;
        // One that failed half-way must give its memory back before the next takes its own.
        self.built = None;
        let ram = ram(&configuration)?;
        let vm = Vm::build(&self.host, configuration, ram, Contents::Incoming, &self.events)?;
        self.built = Some(Arc::clone(&vm));
        Ok(Box::new(Movable::new(vm)))
    }
}

impl Host for IncomingHost {
    fn build(&mut self, configuration: &[u8]) -> Result<Box<dyn Destination>, MachineError> {
        self.build_in(configuration, |it| GuestRam::with_pages(it.memory, it.huge_pages))
    }

    fn take_over(
        &mut self,
        configuration: &[u8],
        memory: Vec<MemoryFile>,
    ) -> Result<Box<dyn Destination>, MachineError> {
        self.build_in(configuration, |it| GuestRam::in_files(it.memory, memory))
    }
}
