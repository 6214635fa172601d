//! The devices of the PC.

use std::io;
use std::sync::Arc;

use super::map::{
    KEYBOARD_CONTROLLER_PORT, KEYBOARD_RESET, RESET_PORT, RESET_VALUE, SERIAL_LINE,
    SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, SOFT_OFF,
};
use crate::devices::{
    Board, DeviceStateError, Interrupt, SavedDevices, SerialLine, SerialPort, serial_register,
};
use crate::kvm::KvmVm;
use crate::vcpu::Ending;

/// The devices of the PC.
#[derive(Debug)]
pub struct PcBoard {
    vm: Arc<KvmVm>,
    serial: Arc<SerialPort>,
}

/// One line into the interrupt controllers.
struct Line {
    vm: Arc<KvmVm>,
    number: u32,
}

impl Interrupt for Line {
    fn raise(&self) -> io::Result<()> {
        self.vm.pulse(self.number).map_err(io::Error::other)
    }
}

impl PcBoard {
    /// The devices of `vm`, which has its chipset already, with `line` at the other end of the serial port.
    #[must_use]
    pub fn new(vm: &Arc<KvmVm>, line: &Arc<SerialLine>) -> Self {
        let interrupt = Arc::new(Line { vm: Arc::clone(vm), number: SERIAL_LINE });
        let serial = Arc::new(SerialPort::new(line.output(), Some(interrupt)));
        // Until the guest runs nothing is received.
        serial.stop();
        line.connect(&serial);
        Self { vm: Arc::clone(vm), serial }
    }
}

impl Drop for PcBoard {
    fn drop(&mut self) {
        self.serial.close();
    }
}

impl Board for PcBoard {
    fn read_port(&self, port: u16, data: &mut [u8]) {
        data.fill(0xFF);
        match (port, data) {
            // Never asleep, and never busy.
            (SLEEP_STATUS_PORT | KEYBOARD_CONTROLLER_PORT, [byte]) => *byte = 0,
            (port, [byte]) => {
                if let Some(register) = serial_register(port) {
                    *byte = self.serial.read(register);
                }
            }
            _ => {}
        }
    }

    fn write_port(&self, port: u16, data: &[u8]) -> Option<Ending> {
        let [byte] = *data else { return None };
        match (port, byte) {
            (SLEEP_CONTROL_PORT, value) => sleep_ending(value),
            (RESET_PORT, RESET_VALUE) | (KEYBOARD_CONTROLLER_PORT, KEYBOARD_RESET) => {
                Some(Ending::Reset)
            }
            (port, value) => {
                if let Some(register) = serial_register(port) {
                    self.serial.write(register, value);
                }
                None
            }
        }
    }

    fn start(&self) {
        self.serial.start();
    }

    fn stop(&self) {
        self.serial.stop();
    }

    fn save(&self) -> Result<SavedDevices, DeviceStateError> {
        Ok(SavedDevices { serial: self.serial.save(), chipset: Some(self.vm.save_chipset()?) })
    }

    fn load(&self, saved: &SavedDevices) -> Result<(), DeviceStateError> {
        let chipset = saved.chipset.as_ref().ok_or(DeviceStateError::NoChipset)?;
        self.vm.load_chipset(chipset)?;
        self.serial.load(&saved.serial)
    }
}

/// What a write to the sleep control register means: its bit 5 is the order, bits 2 to 4 say which sleep.
fn sleep_ending(value: u8) -> Option<Ending> {
    (value & 1 << 5 != 0 && value >> 2 & 0b111 == SOFT_OFF).then_some(Ending::PowerOff)
}
