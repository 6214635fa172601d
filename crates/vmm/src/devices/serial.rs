//! A 16550 serial port.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use vm_superio::Trigger;
use vm_superio::serial::{NoEvents, SerialState};

use super::{DeviceStateError, LineEnd};

/// Raises a device's interrupt.
pub trait Interrupt: Send + Sync {
    /// Raises it once, as on a line that is sensitive to edges.
    ///
    /// # Errors
    /// When there is nobody who takes it.
    fn raise(&self) -> io::Result<()>;
}

/// The port's interrupt; `None` where the machine has no interrupt controller.
struct Line(Option<Arc<dyn Interrupt>>);

impl Trigger for Line {
    type E = io::Error;
    fn trigger(&self) -> Result<(), io::Error> {
        self.0.as_ref().map_or(Ok(()), |line| line.raise())
    }
}

/// The register with the bit that connects the port to itself.
const MODEM_CONTROL: u8 = 4;
const LOOP: u8 = 1 << 4;

type Output = Box<dyn Write + Send>;
type Registers = vm_superio::Serial<Line, NoEvents, Output>;

struct State {
    registers: Registers,
    /// The machine stands still, and nothing is taken for it.
    stopped: bool,
    /// What was received is saved, and nothing can be added.
    saved: bool,
    /// The machine is no more.
    closed: bool,
}

/// A serial port.
pub struct SerialPort {
    state: Mutex<State>,
    interrupt: Option<Arc<dyn Interrupt>>,
    /// There is room for more, or there never will be.
    changed: Condvar,
}

impl fmt::Debug for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialPort").finish_non_exhaustive()
    }
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

impl SerialPort {
    /// Ports that a serial port takes.
    pub(crate) const PORTS: u16 = 8;

    /// A port that writes to `output`, and raises `interrupt` if there is one.
    pub(crate) fn new(output: Output, interrupt: Option<Arc<dyn Interrupt>>) -> Self {
        let registers = Registers::new(Line(interrupt.clone()), output);
        let state = State { registers, stopped: false, saved: false, closed: false };
        Self { state: Mutex::new(state), interrupt, changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest reads a register.
    pub(crate) fn read(&self, register: u8) -> u8 {
        let mut state = self.state();
        let had_room = state.registers.fifo_capacity() > 0;
        let value = state.registers.read(register);
        if !had_room {
            self.changed.notify_all();
        }
        value
    }

    /// The guest writes a register.
    pub(crate) fn write(&self, register: u8, value: u8) {
        if let Err(error) = self.state().registers.write(register, value) {
            tracing::warn!("output of the guest's serial port is lost: {error:?}");
        }
        if register == MODEM_CONTROL {
            // It may have ended the loop in which nothing is received.
            self.changed.notify_all();
        }
    }

    /// Nothing is taken until [`SerialPort::start`].
    pub(crate) fn stop(&self) {
        self.state().stopped = true;
    }

    /// Takes again.
    pub(crate) fn start(&self) {
        let mut state = self.state();
        (state.stopped, state.saved) = (false, false);
        drop(state);
        self.changed.notify_all();
    }

    /// The machine is going: nobody waits for it any more.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// What of it travels.
    pub(crate) fn save(&self) -> SavedSerial {
        let mut state = self.state();
        state.saved = true;
        let state = state.registers.state();
        SavedSerial {
            divisor: [state.baud_divisor_low, state.baud_divisor_high],
            interrupt: [state.interrupt_enable, state.interrupt_identification],
            line: [state.line_control, state.line_status],
            modem: [state.modem_control, state.modem_status],
            scratch: state.scratch,
            received: state.in_buffer,
        }
    }

    /// Takes a saved state over; what the guest writes goes where it went before.
    pub(crate) fn load(&self, from: &SavedSerial) -> Result<(), DeviceStateError> {
        let registers = SerialState {
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
        let line = || Line(self.interrupt.clone());
        let mut state = self.state();
        let nowhere: Output = Box::new(io::sink());
        let before = std::mem::replace(&mut state.registers, Registers::new(line(), nowhere));
        state.registers = Registers::from_state(&registers, line(), NoEvents, before.into_writer())
            .map_err(|_| DeviceStateError::Serial)?;
        Ok(())
    }
}

impl LineEnd for SerialPort {
    fn wait_for_room(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let room = state.registers.fifo_capacity();
            // Looped back to itself it receives nothing, until a write to a register ends that.
            if !state.stopped && room > 0 && state.registers.state().modem_control & LOOP == 0 {
                return Some(room);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn receive(&self, mut bytes: &[u8]) -> bool {
        let mut state = self.state();
        while !bytes.is_empty() && !state.closed {
            let taken = if state.saved { Ok(0) } else { state.registers.enqueue_raw_bytes(bytes) };
            match taken {
                Ok(count) if count > 0 => bytes = &bytes[count..],
                // Full, saved, or looped back to itself.
                _ => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
        !state.closed
    }
}

#[cfg(test)]
#[path = "serial_tests.rs"]
mod tests;
