//! The devices of a probe's machine: a serial port that only speaks, and the debug port.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Board, DeviceStateError, SavedDevices, SerialPort, serial_register};
use crate::probe::DEBUG_PORT;
use crate::vcpu::Ending;

/// The devices of a probe's machine.
#[derive(Debug)]
pub struct ProbeBoard {
    serial: SerialPort,
    violations: AtomicU64,
}

impl ProbeBoard {
    /// A serial port that writes to `output`, and the probe's debug port.
    #[must_use]
    pub fn new(output: Box<dyn Write + Send>) -> Self {
        Self { serial: SerialPort::new(output, None), violations: AtomicU64::new(0) }
    }

    /// Pages that guests have reported as wrong through the debug port, since this machine was made.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }
}

impl Board for ProbeBoard {
    fn read_port(&self, port: u16, data: &mut [u8]) {
        data.fill(0xFF);
        if let (Some(register), [byte]) = (serial_register(port), data) {
            *byte = self.serial.read(register);
        }
    }

    fn write_port(&self, port: u16, data: &[u8]) -> Option<Ending> {
        if port == DEBUG_PORT {
            self.violations.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                vcpu = data.first(),
                "the guest found a page that does not hold what it wrote there"
            );
        }
        if let (Some(register), [byte]) = (serial_register(port), data) {
            self.serial.write(register, *byte);
        }
        None
    }

    fn save(&self) -> Result<SavedDevices, DeviceStateError> {
        Ok(SavedDevices { serial: self.serial.save(), ..SavedDevices::default() })
    }

    fn load(&self, saved: &SavedDevices) -> Result<(), DeviceStateError> {
        self.serial.load(&saved.serial)
    }
}

#[cfg(test)]
#[path = "probe_board_tests.rs"]
mod tests;
