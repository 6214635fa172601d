//! The devices of the PC.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use landfall_qmp::BalloonStatistics;

use super::map::{
    DEVICE_ROOM, DEVICES, KEYBOARD_CONTROLLER_PORT, KEYBOARD_RESET, RESET_PORT, RESET_VALUE,
    SERIAL_LINE, SLEEP_CONTROL_PORT, SLEEP_STATUS_PORT, SOFT_OFF, device_place,
};
use crate::devices::{
    Announcement, Balloon, Ballooning, Block, Board, Console, DeviceStateError, Disk, Flusher,
    Interrupt, Line, LineEnd, Model, Net, Port, Random, SavedBalloon, SavedConsole, SavedDevices,
    SerialPort, Typed, VirtioDevice, serial_register,
};
use crate::kvm::KvmVm;
use crate::memory::GuestRam;
use crate::vcpu::Ending;

/// What a PC is to have on its board.
#[derive(Debug, Default)]
pub struct PcDevices {
    /// Where the serial port leads.
    pub serial: Arc<Line>,
    /// Its disks.
    pub disks: Vec<Arc<Disk>>,
    /// Where its network cards meet the host.
    pub ports: Vec<Arc<Port>>,
    /// Whether it has a source of random numbers.
    pub random: bool,
    /// What its guest gives up of its memory, if it can be asked for some.
    pub balloon: Option<Ballooning>,
    /// Where its console leads, if it has one beside the serial port.
    pub console: Option<Arc<Line>>,
}

/// The devices of the PC.
#[derive(Debug)]
pub struct PcBoard {
    vm: Arc<KvmVm>,
    serial: Arc<SerialPort>,
    disks: Vec<Arc<Disk>>,
    ports: Vec<Arc<Port>>,
    /// A device for each disk, and then for each port.
    devices: Vec<VirtioDevice>,
    random: Option<VirtioDevice>,
    balloon: Option<(VirtioDevice, Arc<Ballooning>)>,
    console: Option<(VirtioDevice, Arc<Typed>)>,
    /// Set where a guest has come from somewhere else, and the network has not been told.
    arrived: AtomicBool,
    announcement: Mutex<Option<Announcement>>,
}

fn boxed(model: impl Model + 'static) -> Box<dyn Model> {
    Box::new(model)
}

/// One line into the interrupt controllers.
struct InterruptLine {
    vm: Arc<KvmVm>,
    number: u32,
}

impl Interrupt for InterruptLine {
    fn raise(&self) -> io::Result<()> {
        self.vm.pulse(self.number).map_err(io::Error::other)
    }
}

impl PcBoard {
    /// The `wanted` devices of `vm`, which has its chipset already and `ram` as its memory.
    ///
    /// # Errors
    /// When there are more disks and ports than lines for them, or the system gives no threads.
    pub fn new(vm: &Arc<KvmVm>, ram: &Arc<GuestRam>, wanted: PcDevices) -> io::Result<Self> {
        let PcDevices { serial: line, disks, ports, random, balloon, console } = wanted;
        let interrupt = Arc::new(InterruptLine { vm: Arc::clone(vm), number: SERIAL_LINE });
        let serial = Arc::new(SerialPort::new(line.output(), Some(interrupt)));
        // Until the guest runs nothing is received.
        serial.stop();
        line.connect(Arc::downgrade(&serial) as Weak<dyn LineEnd>);
        let mut numbers = 0..;
        // Each has the next address and line.
        let mut device = |model: Box<dyn Model>| {
            let place = numbers.next().and_then(device_place);
            let (_, number) = place.ok_or(io::ErrorKind::InvalidInput)?;
            let line = InterruptLine { vm: Arc::clone(vm), number };
            VirtioDevice::new(model, ram, Arc::new(line))
        };
        let blocks = disks.iter().enumerate();
        let blocks = blocks.map(|(number, disk)| boxed(Block::new(Arc::clone(disk), number)));
        let cards = ports.iter().map(|port| boxed(Net::new(Arc::clone(port))));
        let devices = blocks.chain(cards).map(&mut device).collect::<io::Result<_>>()?;
        let random = random.then(|| device(boxed(Random))).transpose()?;
        let balloon = balloon.map(|ballooning| {
            let ballooning = Arc::new(ballooning);
            let device = device(boxed(Balloon::new(ram, &ballooning)))?;
            Ok::<_, io::Error>((device, ballooning))
        });
        let balloon = balloon.transpose()?;
        let console = console.map(|line| {
            let typed = Arc::new(Typed::default());
            typed.stop();
            let device = device(boxed(Console::new(&typed, line.output())))?;
            line.connect(Arc::downgrade(&typed) as Weak<dyn LineEnd>);
            Ok::<_, io::Error>((device, typed))
        });
        Ok(Self {
            vm: Arc::clone(vm),
            serial,
            disks,
            ports,
            devices,
            random,
            balloon,
            console: console.transpose()?,
            arrived: AtomicBool::new(false),
            announcement: Mutex::new(None),
        })
    }

    /// All of them, in the order of their addresses.
    fn all(&self) -> impl Iterator<Item = &VirtioDevice> {
        let balloon = self.balloon.iter().map(|(device, _)| device);
        let console = self.console.iter().map(|(device, _)| device);
        self.devices.iter().chain(&self.random).chain(balloon).chain(console)
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
        Some((self.all().nth(number)?, behind % u64::from(DEVICE_ROOM)))
    }
}

impl Drop for PcBoard {
    fn drop(&mut self) {
        self.serial.close();
        self.console.iter().for_each(|(_, typed)| typed.close());
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
        self.console.iter().for_each(|(_, typed)| typed.start());
        self.all().for_each(VirtioDevice::start);
        self.announce();
    }

    fn stop(&self) {
        self.serial.stop();
        self.console.iter().for_each(|(_, typed)| typed.stop());
        self.all().for_each(VirtioDevice::stop);
    }

    fn ballooning(&self) -> Option<&Ballooning> {
        self.balloon.as_ref().map(|(_, ballooning)| &**ballooning)
    }

    fn ballooning_changed(&self) {
        self.balloon.iter().for_each(|(device, _)| device.configuration_changed());
    }

    fn balloon_statistics(&self, patience: Duration) -> Option<BalloonStatistics> {
        let (device, ballooning) = self.balloon.as_ref()?;
        ballooning.statistics(|| device.notify(), patience)
    }

    fn flush(&self) -> Result<(), DeviceStateError> {
        Ok(self.disks.iter().try_for_each(|disk| disk.flush())?)
    }

    fn save(&self) -> Result<SavedDevices, DeviceStateError> {
        let (disks, cards) = self.devices.split_at(self.disks.len());
        Ok(SavedDevices {
            serial: self.serial.save(),
            disks: disks.iter().map(VirtioDevice::save).collect(),
            cards: cards.iter().map(VirtioDevice::save).collect(),
            random: self.random.as_ref().map(VirtioDevice::save),
            balloon: self.balloon.as_ref().map(|(device, ballooning)| {
                let (asked, actual) = ballooning.pages();
                SavedBalloon { device: device.save(), asked, actual }
            }),
            console: self.console.as_ref().map(|(device, typed)| SavedConsole {
                received: typed.save(),
                device: device.save(),
            }),
            // Last: what came in until a line was saved has raised its interrupt.
            chipset: Some(self.vm.save_chipset()?),
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
        let random = both("a source of random numbers", &self.random, &saved.random)?;
        let balloon = both("a balloon", &self.balloon, &saved.balloon)?;
        let console = both("a console", &self.console, &saved.console)?;
        self.vm.load_chipset(chipset)?;
        for (device, saved) in self.devices.iter().zip(saved.disks.iter().chain(&saved.cards)) {
            device.load(saved)?;
        }
        if let Some((device, saved)) = random {
            device.load(saved)?;
        }
        if let Some(((device, ballooning), saved)) = balloon {
            device.load(&saved.device)?;
            ballooning.set_pages((saved.asked, saved.actual));
        }
        if let Some(((device, typed), saved)) = console {
            device.load(&saved.device)?;
            typed.load(&saved.received)?;
        }
        self.arrived.store(true, Ordering::Release);
        self.serial.load(&saved.serial)
    }
}

/// A device of the machine and its saved state, of which there are both or none.
fn both<'a, T, S>(
    name: &'static str,
    here: &'a Option<T>,
    saved: &'a Option<S>,
) -> Result<Option<(&'a T, &'a S)>, DeviceStateError> {
    match (here, saved) {
        (Some(here), Some(saved)) => Ok(Some((here, saved))),
        (None, None) => Ok(None),
        _ => Err(DeviceStateError::OnlyOne(name)),
    }
}

/// What a write to the sleep control register means: its bit 5 is the order, bits 2 to 4 say which sleep.
fn sleep_ending(value: u8) -> Option<Ending> {
    (value & 1 << 5 != 0 && value >> 2 & 0b111 == SOFT_OFF).then_some(Ending::PowerOff)
}
