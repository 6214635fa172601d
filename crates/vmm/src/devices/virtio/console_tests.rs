use std::io;
use std::ops::Deref;
use std::sync::Mutex;

use vm_memory::{Bytes as _, GuestAddress};

use super::super::registers;
use super::super::test_driver::Driver;
use super::*;
use crate::devices::LineEnd as _;
use crate::memory::GuestRam;

const SAID: usize = 1;
const RINGS: [[u64; 3]; 2] = [[0x1000, 0x2000, 0x3000], [0x4000, 0x5000, 0x6000]];
const ROOM: u64 = 0x8000;
const WORDS: u64 = 0x9000;
const WRITABLE: u32 = 2;

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn all(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Guest {
    driver: Driver,
    typed: Arc<Typed>,
    heard: Heard,
}

impl Deref for Guest {
    type Target = Driver;
    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl Guest {
    /// A machine with `ram`, whose guest has done nothing yet.
    fn with(ram: &Arc<GuestRam>) -> Self {
        let (typed, heard) = (Arc::new(Typed::default()), Heard::default());
        let driver = Driver::with(ram, Console::new(&typed, Box::new(heard.clone())));
        Self { driver, typed, heard }
    }

    /// One whose guest uses its console.
    fn new() -> Self {
        let guest =
            Self::with(&Arc::new(GuestRam::new(landfall_converge::Bytes(2 << 20)).unwrap()));
        guest.device.start();
        assert_eq!(guest.get(registers::KIND), 3);
        guest.agree(0);
        for (queue, rings) in (0..).zip(RINGS) {
            guest.set_up_queue(queue, rings);
        }
        guest.set(registers::STATUS, 15);
        guest
    }

    /// Gives buffer number `number` to a queue.
    fn give(&self, queue: usize, number: u16, address: u64, length: usize, flags: u32) {
        let [descriptors, available, _] = RINGS[queue];
        self.write(descriptors, address);
        self.write(descriptors + 8, u32::try_from(length).unwrap());
        self.write(descriptors + 12, flags);
        self.write(available + 4 + u64::from(number % 8) * 2, 0_u16);
        self.write(available + 2, number + 1);
        self.set(registers::QUEUE_NOTIFY, u32::try_from(queue).unwrap());
    }

    /// Says `words` as request number `number`.
    fn say(&self, number: u16, words: &[u8]) {
        self.ram.map().write_slice(words, GuestAddress(WORDS)).unwrap();
        self.give(SAID, number, WORDS, words.len(), 0);
    }

    /// Reads as request number `number`, with `room` for so many bytes.
    fn ask(&self, number: u16, room: usize) {
        self.give(RECEIVED, number, ROOM, room, WRITABLE);
    }

    /// What came into the room of request number `number`.
    fn answer(&self, number: u16) -> Vec<u8> {
        self.interrupted();
        let length: u32 = self.read(RINGS[RECEIVED][2] + 4 + u64::from(number) * 8 + 4);
        self.bytes(ROOM, usize::try_from(length).unwrap())
    }
}

#[test]
fn what_the_guest_says_is_heard_and_what_is_typed_it_reads() {
    let guest = Guest::new();
    for (number, words) in (0..).zip(["first ", "second"]) {
        guest.say(number, words.as_bytes());
        guest.interrupted();
    }
    assert_eq!(guest.heard.all(), b"first second");
    assert!(guest.typed.receive(b"typed before it is read"));
    guest.ask(0, 5);
    assert_eq!(guest.answer(0), b"typed");
    guest.ask(1, 100);
    assert_eq!(guest.answer(1), b" before it is read");
    // It reads before anything is typed.
    guest.ask(2, 100);
    assert!(guest.typed.receive(b"later"));
    assert_eq!(guest.answer(2), b"later");
}

#[test]
fn what_is_on_its_way_at_a_switchover_is_neither_lost_nor_doubled() {
    let source = Guest::new();
    source.say(0, b"before ");
    source.interrupted();
    assert!(source.typed.receive(b"typed"));
    source.typed.stop();
    source.device.stop();
    // Its last words before it stands still.
    source.say(1, b"after");
    let saved = (source.device.save(), source.typed.save());
    assert_eq!(source.heard.all(), b"before ");
    let destination = Guest::with(&source.ram);
    destination.device.load(&saved.0).unwrap();
    destination.typed.load(&saved.1).unwrap();
    destination.device.start();
    destination.interrupted();
    assert_eq!(destination.heard.all(), b"after");
    destination.ask(0, 100);
    assert_eq!(destination.answer(0), b"typed");
    assert_eq!(source.heard.all(), b"before ");
}

#[test]
fn what_is_typed_while_a_guest_is_on_its_way_waits_until_it_is_known_where_it_runs() {
    let guest = Guest::new();
    guest.typed.stop();
    assert!(guest.typed.receive(b"a"), "read before the machine stood still");
    assert_eq!(guest.typed.save(), b"a");
    std::thread::scope(|scope| {
        let typing = scope.spawn(|| guest.typed.receive(b"b"));
        guest.ask(0, 100);
        assert_eq!(guest.answer(0), b"a");
        assert!(guest.typed.save().is_empty(), "it was added to what had been saved");
        guest.typed.start();
        assert!(typing.join().unwrap());
    });
    guest.ask(1, 100);
    assert_eq!(guest.answer(1), b"b");
}

#[test]
fn a_typist_waits_for_room_and_not_for_a_machine_that_is_gone() {
    let guest = Guest::new();
    assert_eq!(guest.typed.wait_for_room(), Some(256));
    std::thread::scope(|scope| {
        let typing = scope.spawn(|| guest.typed.receive(&[b'x'; 300]));
        let mut read = 0;
        for number in 0.. {
            if read == 300 {
                break;
            }
            guest.ask(number, 100);
            guest.interrupted();
            read += usize::try_from(
                guest.read::<u32>(RINGS[RECEIVED][2] + 4 + u64::from(number % 8) * 8 + 4),
            )
            .unwrap();
        }
        assert!(typing.join().unwrap());
    });
    guest.typed.close();
    assert_eq!(guest.typed.wait_for_room(), None);
    assert!(!guest.typed.receive(b"x"));
}

#[test]
fn more_than_can_wait_and_longer_words_than_there_are_are_refused() {
    let guest = Guest::new();
    assert!(matches!(guest.typed.load(&[0; 257]), Err(crate::devices::DeviceStateError::Console)));
    guest.give(SAID, 0, WORDS, MOST + 1, 0);
    guest.interrupted();
    assert_eq!(guest.get(registers::STATUS), 15 | registers::NEEDS_RESET);
}
