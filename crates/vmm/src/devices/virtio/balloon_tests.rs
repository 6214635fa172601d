use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use landfall_converge::{Bytes, PAGE_SIZE};
use landfall_migrate::machine::DirtySink;
use vm_memory::{Bytes as _, GuestAddress};

use super::super::registers;
use super::super::test_driver::Driver;
use super::*;

const MEMORY: Bytes = Bytes(4 << 20);
/// Descriptors, what is given and what comes back, for each queue.
const RINGS: [[u64; 3]; 3] =
    [[0x1000, 0x2000, 0x3000], [0x4000, 0x5000, 0x6000], [0x7000, 0x8000, 0x9000]];
const DATA: u64 = 0xA000;

#[derive(Default)]
struct Pages(Vec<u64>);

impl DirtySink for Pages {
    fn mark(&mut self, word: u64, bits: u64) {
        self.0.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit));
    }
}

struct Guest {
    driver: Driver,
    ballooning: Arc<Ballooning>,
    changes: Receiver<()>,
    given: [u16; QUEUES],
}

impl Guest {
    fn new() -> Self {
        let ram = Arc::new(GuestRam::new(MEMORY).unwrap());
        let (sender, changes) = channel();
        let ballooning =
            Arc::new(Ballooning::new(MEMORY, Box::new(move || sender.send(()).unwrap())));
        let driver = Driver::with(&ram, Balloon::new(&ram, &ballooning));
        driver.device.start();
        assert_eq!(driver.get(registers::KIND), 5);
        driver.agree(u32::try_from(STATISTICS).unwrap());
        for (queue, rings) in (0..).zip(RINGS) {
            driver.set_up_queue(queue, rings);
        }
        driver.set(registers::STATUS, 15);
        Self { driver, ballooning, changes, given: [0; QUEUES] }
    }

    /// Gives `length` bytes at [`DATA`] to a queue.
    fn give(&mut self, queue: usize, length: usize) {
        let [descriptors, available, _] = RINGS[queue];
        self.driver.write(descriptors, DATA);
        self.driver.write(descriptors + 8, u32::try_from(length).unwrap());
        self.driver.write(descriptors + 12, 0_u32);
        let given = &mut self.given[queue];
        self.driver.write(available + 4 + u64::from(*given % 8) * 2, 0_u16);
        *given += 1;
        self.driver.write(available + 2, *given);
        self.driver.set(registers::QUEUE_NOTIFY, u32::try_from(queue).unwrap());
    }

    /// Gives the numbers of pages to a queue, and waits until that was seen.
    fn tell(&mut self, queue: usize, pages: &[u32]) {
        let numbers: Vec<u8> = pages.iter().flat_map(|page| page.to_le_bytes()).collect();
        self.driver.ram.map().write_slice(&numbers, GuestAddress(DATA)).unwrap();
        self.give(queue, numbers.len());
        self.driver.interrupted();
        assert_eq!(self.driver.read::<u16>(RINGS[queue][2] + 2), self.given[queue]);
    }

    fn fill(&self, page: u64) {
        let full = [0xA5_u8; 4096];
        self.driver.ram.map().write_slice(&full, GuestAddress(page * PAGE_SIZE)).unwrap();
    }

    fn is_hole(&self, page: u64) -> bool {
        self.driver.ram.is_untouched(PageIndex(page), 1)
    }

    fn configured(&self, offset: u64) -> u32 {
        self.driver.get(registers::CONFIGURATION + offset)
    }
}

#[test]
fn pages_that_are_given_up_are_the_hosts_again_and_noted_as_changed() {
    let mut guest = Guest::new();
    let kept = [299, 301, 304, 1023];
    let given = [300, 302, 303, 1000];
    kept.iter().chain(&given).for_each(|page| guest.fill(*page));
    guest.driver.ram.drain_own_writes(&mut Pages::default());
    // In no order, one of them twice, and some that are no memory.
    guest.tell(GIVEN, &[303, 1000, 302, 300, 302, 1024, u32::MAX]);
    assert!(given.iter().all(|page| guest.is_hole(*page)));
    assert!(kept.iter().all(|page| guest.driver.bytes(page * PAGE_SIZE, 1) == [0xA5]));
    guest.driver.device.stop();
    let mut noted = Pages::default();
    guest.driver.ram.drain_own_writes(&mut noted);
    noted.0.retain(|page| *page > DATA / PAGE_SIZE);
    assert_eq!(noted.0, given);
    assert_eq!(guest.driver.bytes(300 * PAGE_SIZE, 4096), [0; 4096]);
}

#[test]
fn what_is_taken_back_is_left_as_it_is() {
    let mut guest = Guest::new();
    guest.fill(300);
    guest.tell(TAKEN_BACK, &[300]);
    assert_eq!(guest.driver.bytes(300 * PAGE_SIZE, 1), [0xA5]);
}

#[test]
fn more_pages_than_a_request_has_break_the_device() {
    let mut guest = Guest::new();
    guest.give(GIVEN, NUMBER * MOST_PAGES + NUMBER);
    guest.driver.interrupted();
    assert_eq!(guest.driver.get(registers::STATUS), 15 | registers::NEEDS_RESET);
}

#[test]
fn the_guest_is_told_what_it_is_asked_for_and_tells_what_it_has_given() {
    let guest = Guest::new();
    assert_eq!((guest.configured(0), guest.configured(4)), (0, 0));
    let before = guest.driver.get(registers::GENERATION);
    assert!(guest.ballooning.ask_to_keep(Bytes(3 << 20)));
    guest.driver.device.configuration_changed();
    guest.driver.interrupted();
    assert_eq!(guest.driver.get(registers::INTERRUPTS), registers::CHANGED);
    assert_eq!(guest.configured(0), 256);
    assert_ne!(guest.driver.get(registers::GENERATION), before);
    assert!(!guest.ballooning.ask_to_keep(Bytes(3 << 20)), "it is asked already");
    // It gives in steps. Who is told once looks for himself.
    for pages in [100, 256, 256] {
        guest.driver.set(registers::CONFIGURATION + 4, pages);
    }
    assert_eq!(guest.changes.try_iter().count(), 1);
    assert_eq!(guest.ballooning.kept(), Bytes(3 << 20));
    guest.driver.set(registers::CONFIGURATION + 4, 255);
    assert_eq!(guest.changes.try_iter().count(), 1);
    // What it is asked for it cannot write, and more than it has cannot be asked for.
    guest.driver.set(registers::CONFIGURATION, 7);
    assert_eq!(guest.configured(0), 256);
    guest.ballooning.ask_to_keep(Bytes(1 << 40));
    assert_eq!(guest.configured(0), 0);
}

#[test]
fn what_it_is_asked_for_and_has_given_goes_with_it() {
    let guest = Guest::new();
    guest.ballooning.ask_to_keep(Bytes(1 << 20));
    guest.driver.set(registers::CONFIGURATION + 4, 500);
    let next = Guest::new();
    next.ballooning.set_pages(guest.ballooning.pages());
    assert_eq!((next.configured(0), next.configured(4)), (768, 500));
    assert_eq!(next.ballooning.kept(), Bytes((1024 - 500) * PAGE_SIZE));
}

/// Entries of which the second is none that anybody knows.
fn figures(free: u64) -> Vec<u8> {
    let entries = [(4_u16, free), (999, 1), (5, 4 << 20)];
    entries
        .iter()
        .flat_map(|(kind, figure)| [&kind.to_le_bytes()[..], &figure.to_le_bytes()].concat())
        .collect()
}

#[test]
fn how_the_guest_uses_its_memory_is_of_now_and_asked_for_only_where_somebody_wants_to_know() {
    let mut guest = Guest::new();
    let at = GuestAddress(DATA);
    let told = figures(1000);
    guest.driver.ram.map().write_slice(&told, at).unwrap();
    guest.give(TOLD, told.len());
    guest.driver.device.stop();
    assert_eq!(guest.driver.read::<u16>(RINGS[TOLD][2] + 2), 0, "nobody has asked");
    guest.driver.device.start();
    let asked = Arc::clone(&guest.ballooning);
    let statistics = std::thread::scope(|scope| {
        let device = &guest.driver.device;
        let asking =
            scope.spawn(move || asked.statistics(|| device.notify(), Duration::from_secs(60)));
        // The buffer comes back, and is filled anew.
        let told = figures(2000);
        guest.driver.interrupted();
        guest.driver.ram.map().write_slice(&told, at).unwrap();
        let [_, available, _] = RINGS[TOLD];
        guest.driver.write(available + 4 + 2, 0_u16);
        guest.driver.write(available + 2, 2_u16);
        guest.driver.set(registers::QUEUE_NOTIFY, 2);
        asking.join().unwrap()
    });
    let statistics = statistics.unwrap();
    assert_eq!(statistics.stat_free_memory, Some(2000));
    assert_eq!(statistics.stat_total_memory, Some(4 << 20));
    assert_eq!(statistics.stat_disk_caches, None);
    let nobody = guest.ballooning.statistics(|| (), Duration::from_millis(1));
    assert_eq!(nobody, None);
}
