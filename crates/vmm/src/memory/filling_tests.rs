use std::sync::atomic::AtomicU64;
use std::time::Duration;

use landfall_converge::Bytes;
use landfall_migrate::machine::GuestMemory as _;

use super::*;

/// Pages that differ from each other.
fn pages(count: usize) -> Vec<u8> {
    (0..count * PAGE)
        .map(|byte| u8::try_from((byte / PAGE * 7 + byte) % 251 + 1).unwrap())
        .collect()
}

fn content(ram: &GuestRam, first: u64, count: usize) -> Vec<u8> {
    let mut content = vec![0; count * PAGE];
    ram.read_pages(PageIndex(first), &mut content).unwrap();
    content
}

/// How often this thread was stopped because a page had no entry in the page table.
fn faults() -> i64 {
    // SAFETY: the structure is plain numbers, for which zeros are good, and the call only fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage.ru_minflt
    }
}

/// How often writing to each of `count` pages from `first` on stopped.
fn faults_of_a_guest(ram: &GuestRam, first: u64, count: u64) -> i64 {
    let words: Vec<&AtomicU64> =
        (first..first + count).map(|page| ram.atomic(page * PAGE_SIZE).unwrap()).collect();
    let before = faults();
    for word in words {
        word.fetch_add(1, Ordering::Relaxed);
    }
    faults() - before
}

/// Memory that is filled by writing to its file, whatever this host does about huge pages.
fn memory(size: Bytes) -> GuestRam {
    let ram = GuestRam::new(size).unwrap();
    ram.filling.in_steps.store(true, Ordering::Relaxed);
    ram.filling.collapsing.never();
    ram
}

/// Memory into which `data` was written at page 512 and which has got a huge page for it, where the host has some.
fn huge_memory(data: &[u8]) -> Option<GuestRam> {
    let ram = GuestRam::new(Bytes(8 << 20)).unwrap();
    ram.filling.in_steps.store(true, Ordering::Relaxed);
    // However slowly this host gives them.
    ram.filling.collapsing.filled_without(1, Duration::from_secs(1));
    ram.write_pages(PageIndex(512), data).unwrap();
    let is_huge = ram.filling.collapsing.is_huge(0, 2 << 20);
    if !is_huge {
        eprintln!("this host gives no huge pages");
    }
    is_huge.then_some(ram)
}

#[test]
fn the_first_pages_to_come_bring_a_huge_page() {
    let data = pages(512);
    let Some(ram) = huge_memory(&data[..64 * PAGE]) else { return };
    assert_eq!(faults_of_a_guest(&ram, 512 + 64, 448), 0, "all others are there, too");
    assert!(!ram.fill(PageIndex(600), &data[..64 * PAGE]).unwrap(), "they are copied");
    ram.write_pages(PageIndex(512), &data).unwrap();
    assert!(content(&ram, 512, 512) == data);
    assert!(ram.is_untouched(PageIndex(0), 512) && ram.is_untouched(PageIndex(1024), 1024));
}

#[test]
fn pages_from_one_place_to_the_next_make_both_huge() {
    let data = pages(64);
    let Some(ram) = huge_memory(&data) else { return };
    ram.write_pages(PageIndex(1536 - 32), &data).unwrap();
    assert!(ram.filling.collapsing.is_huge(0, 4 << 20));
    assert!(ram.filling.collapsing.is_huge(0, 6 << 20));
    assert!(content(&ram, 1536 - 32, 64) == data);
    assert!(ram.is_untouched(PageIndex(0), 512));
}

#[test]
fn a_huge_page_is_kept_until_all_of_it_is_zeros() {
    let data = pages(512);
    let Some(ram) = huge_memory(&data) else { return };
    ram.zero_pages(PageIndex(500), 100).unwrap();
    assert!(content(&ram, 512, 88).iter().all(|byte| *byte == 0));
    assert!(content(&ram, 600, 424) == data[88 * PAGE..]);
    assert_eq!(faults_of_a_guest(&ram, 512, 512), 0, "it is still huge");
    assert!(ram.is_untouched(PageIndex(500), 12), "what lies before it was not touched");
    ram.zero_pages(PageIndex(300), 1000).unwrap();
    assert!(ram.is_untouched(PageIndex(0), 2048));
    assert!(!ram.filling.collapsing.is_huge(0, 2 << 20));
    ram.write_pages(PageIndex(512), &data).unwrap();
    assert!(content(&ram, 512, 512) == data);
}

#[test]
fn what_was_filled_is_there_and_mapped_and_noted() {
    let ram = memory(Bytes(8 << 20));
    let data = pages(512);
    for (at, run) in (512_u64..).step_by(64).zip(data.chunks_exact(64 * PAGE)) {
        assert!(ram.fill(PageIndex(at), run).unwrap());
    }
    assert!(content(&ram, 512, 512) == data);
    assert!(content(&ram, 0, 512).iter().all(|byte| *byte == 0));
    assert_eq!(faults_of_a_guest(&ram, 512, 512), 0, "the guest does not pay for it");
    let mut noted = 0;
    let (_, region, _) = ram.place_of(PageIndex(0)).unwrap();
    region.bitmap().drain(|_, bits| noted += bits.count_ones());
    assert_eq!(noted, 512);
}

#[test]
fn while_another_thread_writes_to_the_file_pages_are_mapped_and_then_copied() {
    let ram = memory(Bytes(4 << 20));
    let data = pages(64);
    {
        let _turn = ram.filling.turns[0].lock().unwrap();
        assert!(!ram.fill(PageIndex(64), &data).unwrap());
        assert_eq!(faults_of_a_guest(&ram, 64, 64), 0);
        ram.write_pages(PageIndex(64), &data).unwrap();
        assert!(content(&ram, 64, 64) == data);
    }
    assert!(ram.fill(PageIndex(128), &data).unwrap());
}

#[test]
fn what_was_written_before_is_copied_over() {
    let ram = memory(Bytes(4 << 20));
    ram.store(70 * PAGE_SIZE, 7).unwrap();
    let data = pages(64);
    assert!(!ram.fill(PageIndex(64), &data).unwrap());
    assert!(ram.fill(PageIndex(71), &data).unwrap());
    assert!(!ram.fill(PageIndex(71), &data).unwrap());
    assert!(!ram.fill(PageIndex(200), &data[..PAGE]).unwrap(), "one page is not worth it");
}

#[test]
fn pages_that_were_given_back_are_filled_again() {
    let ram = memory(Bytes(4 << 20));
    let data = pages(64);
    ram.write_pages(PageIndex(64), &data).unwrap();
    ram.zero_pages(PageIndex(64), 64).unwrap();
    assert!(ram.is_untouched(PageIndex(0), 1024));
    ram.write_pages(PageIndex(64), &data).unwrap();
    assert!(content(&ram, 64, 64) == data);
}

#[test]
fn on_both_sides_of_the_hole_pages_go_where_they_belong() {
    let ram = memory(Bytes(4 << 30));
    let data = pages(64);
    let above = (4_u64 << 30) / PAGE_SIZE;
    for first in [(3 << 30) / PAGE_SIZE - 64, above, above + 1000] {
        assert!(ram.fill(PageIndex(first), &data).unwrap());
        assert!(content(&ram, first, 64) == data);
    }
    assert!(content(&ram, 0, 64).iter().all(|byte| *byte == 0));
}

#[test]
fn what_cannot_be_written_to_in_this_way_is_copied() {
    let ram = memory(Bytes(4 << 20));
    ram.filling.only_by_copying(&io::ErrorKind::Unsupported.into());
    let data = pages(64);
    assert!(!ram.fill(PageIndex(64), &data).unwrap());
    ram.write_pages(PageIndex(64), &data).unwrap();
    assert!(content(&ram, 64, 64) == data);
}
