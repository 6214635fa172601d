//! The devices of the PC.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::map::{
    DEVICE_ROOM, DEVICES, KEYBOARD_CONTROLLER_PORT, KEYBOARD_RESET, RESET_PORT, RESET_VALUE,
    SERIAL_LINE, SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, SOFT_OFF, device_place,
};
use crate::devices::{
    Announcement, Block, Board, DeviceStateError, Disk, Flusher, Interrupt, Model, Net, Port,
    Random, SavedDevices, SerialLine, SerialPort, VirtioDevice, serial_register,
};
use crate::kvm::KvmVm;
use crate::memory::GuestRam;
use crate::vcpu::Ending;

/// The devices of the PC.
#[derive(Debug)]
pub struct PcBoard {
    vm: Arc<KvmVm>,
    serial: Arc<SerialPort>,
    disks: Vec<Arc<Disk>>,
    ports: Vec<Arc<Port>>,
    /// A device for each disk, then for each port, and then one for random numbers, if the machine has that.
    devices: Vec<VirtioDevice>,
    /// Set where a guest has come from somewhere else, and the network has not been told.
    arrived: AtomicBool,
    announcement: Mutex<Option<Announcement>>,
}

fn boxed(model: impl Model + 'static) -> Box<dyn Model> {
    Box::new(model)
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
    /// The devices of `vm`, which has its chipset already and `ram` as its memory, with `line` at the other end of the
    /// serial port, and `random` numbers for it or none.
    ///
    /// # Errors
    /// When there are more disks and ports than lines for them, or the system gives no threads.
    pub fn new(
        vm: &Arc<KvmVm>,
        ram: &Arc<GuestRam>,
        line: &Arc<SerialLine>,
        disks: Vec<Arc<Disk>>,
        ports: Vec<Arc<Port>>,
        random: bool,
    ) -> io::Result<Self> {
        let interrupt = Arc::new(Line { vm: Arc::clone(vm), number: SERIAL_LINE });
        let serial = Arc::new(SerialPort::new(line.output(), Some(interrupt)));
        // Until the guest runs nothing is received.
        serial.stop();
        line.connect(&serial);
        let blocks = disks.iter().enumerate();
        let blocks = blocks.map(|(number, disk)| boxed(Block::new(Arc::clone(disk), number)));
        let cards = ports.iter().map(|port| boxed(Net::new(Arc::clone(port))));
        let device = |(number, model): (usize, Box<dyn Model>)| {
            let (_, number_of_line) = device_place(number).ok_or(io::ErrorKind::InvalidInput)?;
            let line = Line { vm: Arc::clone(vm), number: number_of_line };
            VirtioDevice::new(model, ram, Arc::new(line))
        };
        let numbers = random.then(|| boxed(Random));
        let devices = blocks
            .chain(cards)
            .chain(numbers)
            .enumerate()
            .map(device)
            .collect::<io::Result<_>>()?;
        let (arrived, announcement) = (AtomicBool::new(false), Mutex::new(None));
        Ok(Self { vm: Arc::clone(vm), serial, disks, ports, devices, arrived, announcement })
    }

    fn announcement(&self) -> MutexGuard<'_, Option<Announcement>> {
        self.announcement.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the network that a guest that has come is here now.
    fn announce(&self) {
        if !self.ports.is_empty() && self.arrived.swap(false, Ordering::AcqRel) {
            let begun = Announcement::begin(&self.ports);
            let begun = begun
                .inspect_err(|error| tracing::warn!("the guest is told of once only: {error}"));
            *self.announcement() = begun.ok();
        }
    }

    /// The device that has `address`, and how far behind the device's beginning that is.
    fn device(&self, address: u64) -> Option<(&VirtioDevice, u64)> {
        let behind = address.checked_sub(u64::from(DEVICES))?;
        let number = usize::try_from(behind / u64::from(DEVICE_ROOM)).ok()?;
        Some((self.devices.get(number)?, behind % u64::from(DEVICE_ROOM)))
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

    fn read_memory(&self, address: u64, data: &mut [u8]) {
        match self.device(address) {
            Some((device, offset)) => device.read(offset, data),
            None => data.fill(0xFF),
        }
    }

    fn write_memory(&self, address: u64, data: &[u8]) {
        if let Some((device, offset)) = self.device(address) {
            device.write(offset, data);
        }
    }

    fn claim(&self) -> Result<(), DeviceStateError> {
        self.disks.iter().try_for_each(|disk| disk.lock())?;
        Ok(self.ports.iter().try_for_each(|port| port.claim())?)
    }

    fn let_go(&self) {
        // It is no longer here.
        *self.announcement() = None;
        self.disks.iter().for_each(|disk| disk.unlock());
        self.ports.iter().for_each(|port| port.let_go());
    }

    fn flusher(&self) -> Option<Flusher> {
        // Without it the guest only stands still for longer.
        let flusher = Flusher::begin(&self.disks);
        flusher.inspect_err(|error| tracing::warn!("disks are not flushed early: {error}")).ok()?
    }

    fn start(&self) {
        self.serial.start();
        self.devices.iter().for_each(VirtioDevice::start);
        self.announce();
    }

    fn stop(&self) {
        self.serial.stop();
        self.devices.iter().for_each(VirtioDevice::stop);
    }

    fn flush(&self) -> Result<(), DeviceStateError> {
        Ok(self.disks.iter().try_for_each(|disk| disk.flush())?)
    }

    fn save(&self) -> Result<SavedDevices, DeviceStateError> {
        let (disks, others) = self.devices.split_at(self.disks.len());
        let (cards, random) = others.split_at(self.ports.len());
        Ok(SavedDevices {
            serial: self.serial.save(),
            chipset: Some(self.vm.save_chipset()?),
            disks: disks.iter().map(VirtioDevice::save).collect(),
            cards: cards.iter().map(VirtioDevice::save).collect(),
            random: random.first().map(VirtioDevice::save),
        })
    }

    fn load(&self, saved: &SavedDevices) -> Result<(), DeviceStateError> {
        let chipset = saved.chipset.as_ref().ok_or(DeviceStateError::NoChipset)?;
        let (disks, cards) = (self.disks.len(), self.ports.len());
        if saved.disks.len() != disks {
            return Err(DeviceStateError::Disks(saved.disks.len(), disks));
        }
        if saved.cards.len() != cards {
            return Err(DeviceStateError::Cards(saved.cards.len(), cards));
        }
        let all = saved.disks.iter().chain(&saved.cards).chain(&saved.random);
        if all.clone().count() != self.devices.len() {
            return Err(DeviceStateError::Random);
        }
        self.vm.load_chipset(chipset)?;
        for (device, saved) in self.devices.iter().zip(all) {
            device.load(saved)?;
        }
        self.arrived.store(true, Ordering::Release);
        self.serial.load(&saved.serial)
    }
}

/// What a write to the sleep control register means: its bit 5 is the order, bits 2 to 4 say which sleep.
fn sleep_ending(value: u8) -> Option<Ending> {
    (value & 1 << 5 != 0 && value >> 2 & 0b111 == SOFT_OFF).then_some(Ending::PowerOff)
}
