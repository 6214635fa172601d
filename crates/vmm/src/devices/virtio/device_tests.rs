use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_migrate::machine::DirtySink;
use vm_memory::{Bytes as _, GuestAddress};

use super::super::{Block, Disk, DiskChoice};
use super::*;

const DESCRIPTORS: u64 = 0x1000;
const AVAILABLE: u64 = 0x2000;
const USED: u64 = 0x3000;
const HEADER: u64 = 0x4000;
const DATA: u64 = 0x5000;
const STATUS: u64 = 0x7000;
const NEXT: u16 = 1;
const WRITABLE: u16 = 2;
const FLUSH_FEATURE: u32 = 1 << 9;

struct Told(Mutex<Sender<()>>);

impl Interrupt for Told {
    fn raise(&self) -> io::Result<()> {
        lock(&self.0).send(()).map_err(io::Error::other)
    }
}

/// A disk, and a driver for it that puts one request at a time into the queue.
struct Driver {
    ram: Arc<GuestRam>,
    device: VirtioDevice,
    interrupts: Receiver<()>,
    given: u16,
    image: tempfile::NamedTempFile,
}

impl Driver {
    fn new(read_only: bool) -> Self {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(64 << 10).unwrap();
        let ram = Arc::new(GuestRam::new(Bytes(2 << 20)).unwrap());
        let (device, interrupts) = device(&ram, &image, read_only);
        device.start();
        let driver = Self { ram, device, interrupts, given: 0, image };
        driver.set_up();
        driver
    }

    fn get(&self, register: u64) -> u32 {
        let mut bytes = [0; 4];
        self.device.read(register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn set(&self, register: u64, value: u32) {
        self.device.write(register, &value.to_le_bytes());
    }

    fn set_up(&self) {
        assert_eq!(self.get(registers::MAGIC), registers::MAGIC_VALUE);
        assert_eq!(self.get(registers::KIND), 2);
        self.set(registers::STATUS, 3);
        self.set(registers::AGREED, FLUSH_FEATURE);
        self.set(registers::AGREED_HALF, 1);
        self.set(registers::AGREED, 1);
        self.set(registers::STATUS, 11);
        assert_eq!(self.get(registers::STATUS), 11);
        self.set(registers::QUEUE_SIZE, 8);
        for (register, address) in [
            (registers::DESCRIPTORS_LOW, DESCRIPTORS),
            (registers::AVAILABLE_LOW, AVAILABLE),
            (registers::USED_LOW, USED),
        ] {
            self.set(register, u32::try_from(address).unwrap());
        }
        self.set(registers::QUEUE_READY, 1);
        assert_eq!(self.get(registers::QUEUE_READY), 1);
        self.set(registers::STATUS, 15);
    }

    fn write<T: vm_memory::ByteValued>(&self, address: u64, value: T) {
        self.ram.map().write_obj(value, GuestAddress(address)).unwrap();
    }

    /// Gives the request to the device, and does not wait.
    fn give(&mut self, asked: u32, sector: u64, length: u32, writable: bool) {
        self.write(HEADER, asked);
        self.write(HEADER + 8, sector);
        self.write(STATUS, 0xEE_u8);
        let data = NEXT | if writable { WRITABLE } else { 0 };
        let parts = [(HEADER, 16, NEXT), (DATA, length, data), (STATUS, 1, WRITABLE)];
        for (index, (address, length, flags)) in (0u16..).zip(parts) {
            let at = DESCRIPTORS + u64::from(index) * 16;
            self.write(at, address);
            self.write(at + 8, length);
            self.write(at + 12, flags);
            self.write(at + 14, index + 1);
        }
        self.write(AVAILABLE + 4 + u64::from(self.given % 8) * 2, 0u16);
        self.given += 1;
        self.write(AVAILABLE + 2, self.given);
        self.set(registers::QUEUE_NOTIFY, 0);
    }

    /// Waits for the device; how the request ended.
    fn ended(&self) -> u8 {
        self.interrupts.recv_timeout(Duration::from_secs(60)).unwrap();
        self.set(registers::INTERRUPTS_SEEN, registers::BUFFERS_USED);
        let used: u16 = self.ram.map().read_obj(GuestAddress(USED + 2)).unwrap();
        assert_eq!(used, self.given);
        self.ram.map().read_obj(GuestAddress(STATUS)).unwrap()
    }

    fn request(&mut self, asked: u32, sector: u64, length: u32, writable: bool) -> u8 {
        self.give(asked, sector, length, writable);
        self.ended()
    }

    fn data(&self, length: usize) -> Vec<u8> {
        let mut data = vec![0; length];
        self.ram.map().read_slice(&mut data, GuestAddress(DATA)).unwrap();
        data
    }
}

fn device(
    ram: &Arc<GuestRam>,
    image: &tempfile::NamedTempFile,
    read_only: bool,
) -> (VirtioDevice, Receiver<()>) {
    let (sender, interrupts) = channel();
    let choice = DiskChoice { path: image.path().to_owned(), read_only };
    let model = Block::new(Arc::new(Disk::open(&choice).unwrap()), 3);
    let told = Arc::new(Told(Mutex::new(sender)));
    (VirtioDevice::new(Box::new(model), ram, told).unwrap(), interrupts)
}

#[derive(Default)]
struct Pages(Vec<u64>);

impl DirtySink for Pages {
    fn mark(&mut self, word: u64, bits: u64) {
        self.0.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit));
    }
}

#[test]
fn what_is_written_is_read_again_and_every_page_that_the_device_writes_is_noted() {
    let mut driver = Driver::new(false);
    let bytes: Vec<u8> = (0..8192u32).map(|index| index.to_le_bytes()[0] ^ 0x5A).collect();
    driver.ram.map().write_slice(&bytes, GuestAddress(DATA)).unwrap();
    assert_eq!(driver.request(1, 5, 8192, false), 0);
    assert_eq!(driver.request(4, 0, 0, false), 0);
    assert_eq!(std::fs::read(driver.image.path()).unwrap()[5 * 512..5 * 512 + 8192], bytes);
    driver.ram.map().write_slice(&[0; 8192], GuestAddress(DATA)).unwrap();
    driver.give(0, 5, 8192, true);
    assert_eq!(driver.ended(), 0);
    assert_eq!(driver.data(8192), bytes);
    // What the driver writes before the drain is noted, too; what it leaves alone is only the device's.
    driver.ram.drain_own_writes(&mut Pages::default());
    driver.write(AVAILABLE + 4 + u64::from(driver.given % 8) * 2, 0u16);
    driver.given += 1;
    driver.write(AVAILABLE + 2, driver.given);
    driver.set(registers::QUEUE_NOTIFY, 0);
    assert_eq!(driver.ended(), 0);
    driver.device.stop();
    let mut pages = Pages::default();
    driver.ram.drain_own_writes(&mut pages);
    assert_eq!(pages.0, [AVAILABLE, USED, DATA, DATA + 0x1000, STATUS].map(|at| at / PAGE_SIZE));
}

#[test]
fn what_cannot_be_done_is_told_to_the_guest() {
    let mut driver = Driver::new(true);
    assert_eq!(driver.request(1, 0, 512, false), 1, "written to what is read only");
    assert_eq!(driver.request(0, 128, 512, true), 1, "read beyond the end");
    assert_eq!(driver.request(0, u64::MAX, 512, true), 1, "read far beyond the end");
    assert_eq!(driver.request(0, 0, 100, true), 1, "read a part of a sector");
    assert_eq!(driver.request(77, 0, 512, true), 2, "asked for what there is not");
    assert_eq!(driver.request(0, 127, 512, true), 0, "the last sector");
    assert_eq!(driver.request(8, 0, 20, true), 0);
    assert_eq!(driver.data(20), b"landfall-disk-3\0\0\0\0\0");
}

#[test]
fn a_request_that_leads_nowhere_breaks_the_device_until_it_is_reset() {
    let mut driver = Driver::new(false);
    driver.write(DESCRIPTORS, 1u64 << 40);
    driver.write(AVAILABLE + 2, 1u16);
    driver.set(registers::QUEUE_NOTIFY, 0);
    driver.interrupts.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(driver.get(registers::STATUS), 15 | registers::NEEDS_RESET);
    assert_eq!(driver.get(registers::INTERRUPTS), registers::CHANGED);
    driver.set(registers::STATUS, 0);
    assert_eq!((driver.get(registers::STATUS), driver.get(registers::INTERRUPTS)), (0, 0));
    // A driver that begins anew begins with empty rings.
    driver.write(AVAILABLE + 2, 0u16);
    driver.write(USED + 2, 0u16);
    driver.set_up();
    assert_eq!(driver.request(0, 0, 512, true), 0);
}

#[test]
fn a_request_that_waits_is_carried_out_where_the_guest_goes_on() {
    let mut driver = Driver::new(false);
    assert_eq!(driver.request(0, 0, 512, true), 0);
    driver.device.stop();
    driver.give(0, 0, 512, true);
    let saved = driver.device.save();
    assert_eq!(saved.queues[0].next_used, 1);
    let text = serde_json::to_string(&saved).unwrap();
    let (device, interrupts) = device(&driver.ram, &driver.image, false);
    device.load(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(device.save(), saved);
    assert!(driver.interrupts.try_recv().is_err(), "carried out where it stands still");
    (driver.device, driver.interrupts) = (device, interrupts);
    driver.device.start();
    assert_eq!(driver.ended(), 0);
}

#[test]
fn a_state_that_is_none_is_refused() {
    let driver = Driver::new(false);
    driver.device.stop();
    let saved = driver.device.save();
    let mut outside = saved.clone();
    outside.queues[0].used = 1 << 40;
    assert!(matches!(driver.device.load(&outside), Err(DeviceStateError::Queue)));
    let newer = SavedVirtio { features: saved.features | 1 << 50, ..saved };
    assert!(matches!(driver.device.load(&newer), Err(DeviceStateError::Features(_))));
}
