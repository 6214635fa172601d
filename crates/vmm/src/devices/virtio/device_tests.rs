use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsRawFd, FromRawFd};

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::DirtySink;
use vm_memory::{Bytes as _, GuestAddress};

use super::super::test_driver::Driver;
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

/// A disk, and a driver for it that puts one request at a time into the queue.
struct DiskDriver {
    driver: Driver,
    given: u16,
    image: tempfile::NamedTempFile,
}

impl Deref for DiskDriver {
    type Target = Driver;
    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl DiskDriver {
    fn new(read_only: bool) -> Self {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(64 << 10).unwrap();
        let driver = Driver::of(model(&image, read_only));
        driver.device.start();
        let driver = Self { driver, given: 0, image };
        driver.set_up();
        driver
    }

    fn set_up(&self) {
        assert_eq!(self.get(registers::MAGIC), registers::MAGIC_VALUE);
        assert_eq!(self.get(registers::KIND), 2);
        self.agree(FLUSH_FEATURE);
        self.set_up_queue(0, [DESCRIPTORS, AVAILABLE, USED]);
        self.set(registers::STATUS, 15);
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
        self.interrupted();
        self.set(registers::INTERRUPTS_SEEN, registers::BUFFERS_USED);
        assert_eq!(self.read::<u16>(USED + 2), self.given);
        self.read(STATUS)
    }

    fn request(&mut self, asked: u32, sector: u64, length: u32, writable: bool) -> u8 {
        self.give(asked, sector, length, writable);
        self.ended()
    }
}

fn model(image: &tempfile::NamedTempFile, read_only: bool) -> Block {
    let choice = DiskChoice { path: image.path().to_owned(), read_only };
    Block::new(Arc::new(Disk::open(&choice).unwrap()), 3)
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
    let mut driver = DiskDriver::new(false);
    let bytes: Vec<u8> = (0..8192u32).map(|index| index.to_le_bytes()[0] ^ 0x5A).collect();
    driver.ram.map().write_slice(&bytes, GuestAddress(DATA)).unwrap();
    assert_eq!(driver.request(1, 5, 8192, false), 0);
    assert_eq!(driver.request(4, 0, 0, false), 0);
    assert_eq!(std::fs::read(driver.image.path()).unwrap()[5 * 512..5 * 512 + 8192], bytes);
    driver.ram.map().write_slice(&[0; 8192], GuestAddress(DATA)).unwrap();
    driver.give(0, 5, 8192, true);
    assert_eq!(driver.ended(), 0);
    assert_eq!(driver.bytes(DATA, 8192), bytes);
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
    let mut driver = DiskDriver::new(true);
    assert_eq!(driver.request(1, 0, 512, false), 1, "written to what is read only");
    assert_eq!(driver.request(0, 128, 512, true), 1, "read beyond the end");
    assert_eq!(driver.request(0, u64::MAX, 512, true), 1, "read far beyond the end");
    assert_eq!(driver.request(0, 0, 100, true), 1, "read a part of a sector");
    assert_eq!(driver.request(77, 0, 512, true), 2, "asked for what there is not");
    assert_eq!(driver.request(0, 127, 512, true), 0, "the last sector");
    assert_eq!(driver.request(8, 0, 20, true), 0);
    assert_eq!(driver.bytes(DATA, 20), b"landfall-disk-3\0\0\0\0\0");
}

#[test]
fn a_write_that_the_host_cannot_do_is_no_success_for_the_guest() {
    let mut driver = DiskDriver::new(false);
    // SAFETY: the name is a valid C string and the flags are known to the kernel.
    let made = unsafe { libc::memfd_create(c"image".as_ptr(), libc::MFD_ALLOW_SEALING) };
    // SAFETY: the descriptor was just made and nothing else owns it.
    let image = unsafe { File::from_raw_fd(made) };
    image.set_len(64 << 10).unwrap();
    let path = format!("/proc/self/fd/{}", image.as_raw_fd()).into();
    let choice = DiskChoice { path, read_only: false };
    let disk = Arc::new(Disk::open(&choice).unwrap());
    driver.driver = Driver::of(Block::new(disk, 0));
    driver.driver.device.start();
    driver.set_up();
    assert_eq!(driver.request(1, 0, 512, false), 0);
    // As a disk that has failed.
    // SAFETY: a plain call on a descriptor that `image` owns; seals concern the file, no memory of ours.
    let sealed = unsafe { libc::fcntl(image.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_WRITE) };
    assert_eq!(sealed, 0);
    assert_eq!(driver.request(1, 0, 512, false), 1);
    assert_eq!(driver.request(0, 0, 512, true), 0, "it can still be read");
}

#[test]
fn a_request_that_leads_nowhere_breaks_the_device_until_it_is_reset() {
    let mut driver = DiskDriver::new(false);
    driver.write(DESCRIPTORS, 1u64 << 40);
    driver.write(AVAILABLE + 2, 1u16);
    driver.set(registers::QUEUE_NOTIFY, 0);
    driver.interrupted();
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
    let mut driver = DiskDriver::new(false);
    assert_eq!(driver.request(0, 0, 512, true), 0);
    driver.device.stop();
    driver.give(0, 0, 512, true);
    let saved = driver.device.save();
    assert_eq!(saved.queues[0].next_used, 1);
    let text = serde_json::to_string(&saved).unwrap();
    let next = Driver::with(&driver.ram, model(&driver.image, false));
    next.device.load(&serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(next.device.save(), saved);
    assert!(driver.interrupts.try_recv().is_err(), "carried out where it stands still");
    driver.driver = next;
    driver.device.start();
    assert_eq!(driver.ended(), 0);
}

#[test]
fn a_state_that_is_none_is_refused() {
    let driver = DiskDriver::new(false);
    driver.device.stop();
    let saved = driver.device.save();
    let mut outside = saved.clone();
    outside.queues[0].used = 1 << 40;
    assert!(matches!(driver.device.load(&outside), Err(DeviceStateError::Queue)));
    let newer = SavedVirtio { features: saved.features | 1 << 50, ..saved };
    assert!(matches!(driver.device.load(&newer), Err(DeviceStateError::Features(_))));
}
