//! The devices of a machine: a 16550 serial port, and the debug port of the probe.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, SerialState};

use crate::probe::DEBUG_PORT;

const SERIAL_BASE: u16 = 0x3F8;
const SERIAL_PORTS: u16 = 8;

/// Nobody listens to the serial port's interrupt: a machine without interrupt controller has none to raise.
#[derive(Debug)]
struct NoInterrupt;

impl Trigger for NoInterrupt {
    type E = io::Error;
    fn trigger(&self) -> Result<(), io::Error> {
        Ok(())
    }
}

type Serial = vm_superio::Serial<NoInterrupt, NoEvents, Box<dyn Write + Send>>;

/// The I/O ports of a machine and what is behind them.
pub struct PortBus {
    serial: Mutex<Serial>,
    violations: AtomicU64,
}

impl std::fmt::Debug for PortBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PortBus").field("violations", &self.violations).finish_non_exhaustive()
    }
}

/// What of the devices travels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDevices {
    /// The serial port.
    pub serial: SavedSerial,
}

/// The registers of a 16550 and what waits in its receive buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSerial {
    /// Divisor latch, low and high byte.
    pub divisor: [u8; 2],
    /// Interrupt enable and identification registers.
    pub interrupt: [u8; 2],
    /// Line control and status registers.
    pub line: [u8; 2],
    /// Modem control and status registers.
    pub modem: [u8; 2],
    /// Scratch register.
    pub scratch: u8,
    /// Received and not yet read by the guest.
    pub received: Vec<u8>,
}

/// The saved devices do not fit.
#[derive(Debug, thiserror::Error)]
#[error("the saved serial port holds more received bytes than its buffer takes")]
pub struct DeviceStateError;

impl PortBus {
    /// A serial port that writes to `output`, and the probe's debug port.
    #[must_use]
    pub fn new(output: Box<dyn Write + Send>) -> Self {
        Self { serial: Mutex::new(Serial::new(NoInterrupt, output)), violations: AtomicU64::new(0) }
    }

    fn serial(&self) -> std::sync::MutexGuard<'_, Serial> {
        self.serial.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Pages that guests have reported as wrong through the debug port, since this machine was made.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.violations.load(Ordering::Relaxed)
    }

    /// The guest reads a port. An empty one gives ones, as on a PC.
    pub(crate) fn read(&self, port: u16, data: &mut [u8]) {
        data.fill(0xFF);
        if let (Some(register), [byte]) = (serial_register(port), data) {
            *byte = self.serial().read(register);
        }
    }

    /// The guest writes a port. An empty one takes everything.
    pub(crate) fn write(&self, port: u16, data: &[u8]) {
        if port == DEBUG_PORT {
            self.violations.fetch_add(1, Ordering::Relaxed);
            tracing::error!(
                vcpu = data.first(),
                "the guest found a page that does not hold what it wrote there"
            );
        }
        if let (Some(register), [byte]) = (serial_register(port), data)
            && let Err(error) = self.serial().write(register, *byte)
        {
            tracing::warn!("output of the guest's serial port is lost: {error:?}");
        }
    }

    /// What of the devices travels.
    #[must_use]
    pub fn save(&self) -> SavedDevices {
        let state = self.serial().state();
        SavedDevices {
            serial: SavedSerial {
                divisor: [state.baud_divisor_low, state.baud_divisor_high],
                interrupt: [state.interrupt_enable, state.interrupt_identification],
                line: [state.line_control, state.line_status],
                modem: [state.modem_control, state.modem_status],
                scratch: state.scratch,
                received: state.in_buffer,
            },
        }
    }

    /// Takes the devices' state over.
    ///
    /// # Errors
    /// When it is impossible.
    pub fn load(
        &self,
        saved: &SavedDevices,
        output: Box<dyn Write + Send>,
    ) -> Result<(), DeviceStateError> {
        let from = &saved.serial;
        let state = SerialState {
            baud_divisor_low: from.divisor[0],
            baud_divisor_high: from.divisor[1],
            interrupt_enable: from.interrupt[0],
            interrupt_identification: from.interrupt[1],
            line_control: from.line[0],
            line_status: from.line[1],
            modem_control: from.modem[0],
            modem_status: from.modem[1],
            scratch: from.scratch,
            in_buffer: from.received.clone(),
        };
        *self.serial() = Serial::from_state(&state, NoInterrupt, NoEvents, output)
            .map_err(|_| DeviceStateError)?;
        Ok(())
    }
}

fn serial_register(port: u16) -> Option<u8> {
    (SERIAL_BASE..SERIAL_BASE + SERIAL_PORTS)
        .contains(&port)
        .then(|| u8::try_from(port - SERIAL_BASE).unwrap_or(0))
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
