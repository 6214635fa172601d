use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use landfall_converge::Bytes;
use vm_memory::{Bytes as _, GuestAddress};

use super::super::device::VirtioDevice;
use super::super::registers;
use super::*;
use crate::devices::Interrupt;
use crate::memory::GuestRam;

const PATIENCE: Duration = Duration::from_secs(60);
const SENT: u64 = 1;
const RECEIVED: u64 = 0;
const WRITABLE: u16 = 2;

struct Told(Mutex<Sender<()>>);

impl Interrupt for Told {
    fn raise(&self) -> io::Result<()> {
        self.0.lock().unwrap().send(()).map_err(io::Error::other)
    }
}

/// A card, its driver, and what is at the other end of its wire.
struct Driver {
    ram: Arc<GuestRam>,
    device: VirtioDevice,
    interrupts: Receiver<()>,
    wire: UnixDatagram,
    given: [u16; QUEUES],
}

/// Where what belongs to a queue begins: descriptors, what is given, what comes back, and one buffer, each on a page.
fn place(queue: u64, what: u64) -> u64 {
    0x10000 * (queue + 1) + 0x1000 * what
}

fn device(ram: &Arc<GuestRam>) -> (VirtioDevice, Receiver<()>, UnixDatagram) {
    let (ours, wire) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    wire.set_read_timeout(Some(PATIENCE)).unwrap();
    let mac = "52:54:00:12:34:56".parse().unwrap();
    let port = Arc::new(Port::with(mac, OwnedFd::from(ours).into()));
    let (sender, interrupts) = channel();
    let told = Arc::new(Told(Mutex::new(sender)));
    (VirtioDevice::new(Box::new(Net::new(port)), ram, told).unwrap(), interrupts, wire)
}

impl Driver {
    fn new() -> Self {
        let ram = Arc::new(GuestRam::new(Bytes(2 << 20)).unwrap());
        let (device, interrupts, wire) = device(&ram);
        device.start();
        let driver = Self { ram, device, interrupts, wire, given: [0; QUEUES] };
        driver.set(registers::AGREED_HALF, 1);
        driver.set(registers::AGREED, 1);
        driver.set(registers::STATUS, 11);
        for queue in [RECEIVED, SENT] {
            driver.set(registers::QUEUE_SELECT, u32::try_from(queue).unwrap());
            driver.set(registers::QUEUE_SIZE, 8);
            let rings = [registers::DESCRIPTORS_LOW, registers::AVAILABLE_LOW, registers::USED_LOW];
            for (register, what) in rings.into_iter().zip(0..) {
                driver.set(register, u32::try_from(place(queue, what)).unwrap());
            }
            driver.set(registers::QUEUE_READY, 1);
            assert_eq!(driver.get(registers::QUEUE_READY), 1);
        }
        driver.set(registers::STATUS, 15);
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

    fn write<T: vm_memory::ByteValued>(&self, address: u64, value: T) {
        self.ram.map().write_obj(value, GuestAddress(address)).unwrap();
    }

    /// Gives the queue its one buffer, of `length` bytes.
    fn give(&mut self, queue: u64, length: u32) {
        self.write(place(queue, 0), place(queue, 3));
        self.write(place(queue, 0) + 8, length);
        self.write(place(queue, 0) + 12, if queue == RECEIVED { WRITABLE } else { 0 });
        let given = &mut self.given[usize::try_from(queue).unwrap()];
        let slot = u64::from(*given % 8);
        *given += 1;
        let given = *given;
        self.write(place(queue, 1) + 4 + slot * 2, 0u16);
        self.write(place(queue, 1) + 2, given);
        self.set(registers::QUEUE_NOTIFY, u32::try_from(queue).unwrap());
    }

    /// Waits for the buffer; how much was written into it.
    fn back(&self, queue: u64) -> u32 {
        self.interrupts.recv_timeout(PATIENCE).unwrap();
        let given = self.given[usize::try_from(queue).unwrap()];
        let used: u16 = self.ram.map().read_obj(GuestAddress(place(queue, 2) + 2)).unwrap();
        assert_eq!(used, given);
        let entry = place(queue, 2) + 4 + u64::from((given - 1) % 8) * 8;
        self.ram.map().read_obj(GuestAddress(entry + 4)).unwrap()
    }

    fn buffer(&self, queue: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.ram.map().read_slice(&mut bytes, GuestAddress(place(queue, 3))).unwrap();
        bytes
    }
}

#[test]
fn frames_go_both_ways_with_a_header_that_stays_inside() {
    let mut driver = Driver::new();
    assert_eq!(driver.get(registers::KIND), 1);
    assert_eq!(driver.get(registers::CONFIGURATION).to_le_bytes(), [0x52, 0x54, 0, 0x12]);
    let frame: Vec<u8> = (0..100).collect();
    let sent = [&[0; 12][..], &frame].concat();
    driver.ram.map().write_slice(&sent, GuestAddress(place(SENT, 3))).unwrap();
    driver.give(SENT, 112);
    driver.back(SENT);
    let mut heard = [0; 200];
    assert_eq!(driver.wire.recv(&mut heard).unwrap(), 100);
    assert_eq!(heard[..100], frame);

    driver.give(RECEIVED, 2048);
    driver.wire.send(&frame).unwrap();
    assert_eq!(driver.back(RECEIVED), 112);
    assert_eq!(driver.buffer(RECEIVED, 112), [&HEADER[..], &frame].concat());
}

#[test]
fn a_frame_waits_for_room_and_one_that_never_fits_is_lost() {
    let mut driver = Driver::new();
    driver.wire.send(&[1; 60]).unwrap();
    driver.wire.send(&[2; 60]).unwrap();
    driver.give(RECEIVED, 71);
    assert_eq!(driver.back(RECEIVED), 0, "not even a part of it");
    driver.give(RECEIVED, 72);
    assert_eq!(driver.back(RECEIVED), 72);
    assert_eq!(driver.buffer(RECEIVED, 72)[12..], [2; 60]);
}

#[test]
fn the_guest_receives_where_it_goes_on() {
    let mut driver = Driver::new();
    driver.give(RECEIVED, 2048);
    driver.device.stop();
    let saved = driver.device.save();
    assert_eq!(saved.queues.len(), QUEUES);
    driver.wire.send(&[1; 60]).unwrap();
    let (next, interrupts, wire) = device(&driver.ram);
    next.load(&saved).unwrap();
    wire.send(&[2; 60]).unwrap();
    (driver.device, driver.interrupts, driver.wire) = (next, interrupts, wire);
    driver.device.start();
    assert_eq!(driver.back(RECEIVED), 72);
    assert_eq!(driver.buffer(RECEIVED, 72)[12..], [2; 60]);
}
