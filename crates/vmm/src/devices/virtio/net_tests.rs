use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use vm_memory::{Bytes as _, GuestAddress};

use super::super::registers;
use super::super::test_driver::Driver;
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);
const SENT: u64 = 1;
const RECEIVED: u64 = 0;
const WRITABLE: u16 = 2;

/// A card, its driver, and what is at the other end of its wire.
struct CardDriver {
    driver: Driver,
    wire: UnixDatagram,
    given: [u16; QUEUES],
}

/// Where what belongs to a queue begins: descriptors, what is given, what comes back, and one buffer, each on a page.
fn place(queue: u64, what: u64) -> u64 {
    0x10000 * (queue + 1) + 0x1000 * what
}

fn model() -> (Net, UnixDatagram) {
    let (ours, wire) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    wire.set_read_timeout(Some(PATIENCE)).unwrap();
    let mac = "52:54:00:12:34:56".parse().unwrap();
    (Net::new(Arc::new(Port::with(mac, OwnedFd::from(ours).into()))), wire)
}

impl Deref for CardDriver {
    type Target = Driver;
    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl CardDriver {
    fn new() -> Self {
        let (model, wire) = model();
        let driver = Driver::of(model);
        driver.device.start();
        driver.agree(0);
        for queue in [RECEIVED, SENT] {
            driver.set_up_queue(queue, [0, 1, 2].map(|what| place(queue, what)));
        }
        driver.set(registers::STATUS, 15);
        Self { driver, wire, given: [0; QUEUES] }
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
        self.interrupted();
        let given = self.given[usize::try_from(queue).unwrap()];
        assert_eq!(self.read::<u16>(place(queue, 2) + 2), given);
        self.read(place(queue, 2) + 4 + u64::from((given - 1) % 8) * 8 + 4)
    }
}

#[test]
fn frames_go_both_ways_with_a_header_that_stays_inside() {
    let mut driver = CardDriver::new();
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
    assert_eq!(driver.bytes(place(RECEIVED, 3), 112), [&HEADER[..], &frame].concat());
}

#[test]
fn a_frame_waits_for_room_and_one_that_never_fits_is_lost() {
    let mut driver = CardDriver::new();
    driver.wire.send(&[1; 60]).unwrap();
    driver.wire.send(&[2; 60]).unwrap();
    driver.give(RECEIVED, 71);
    assert_eq!(driver.back(RECEIVED), 0, "not even a part of it");
    driver.give(RECEIVED, 72);
    assert_eq!(driver.back(RECEIVED), 72);
    assert_eq!(driver.bytes(place(RECEIVED, 3), 72)[12..], [2; 60]);
}

#[test]
fn the_guest_receives_where_it_goes_on() {
    let mut driver = CardDriver::new();
    driver.give(RECEIVED, 2048);
    driver.device.stop();
    let saved = driver.device.save();
    assert_eq!(saved.queues.len(), QUEUES);
    driver.wire.send(&[1; 60]).unwrap();
    let (model, wire) = model();
    let next = Driver::with(&driver.ram, model);
    next.device.load(&saved).unwrap();
    wire.send(&[2; 60]).unwrap();
    (driver.driver, driver.wire) = (next, wire);
    driver.device.start();
    assert_eq!(driver.back(RECEIVED), 72);
    assert_eq!(driver.bytes(place(RECEIVED, 3), 72)[12..], [2; 60]);
}
