use std::collections::BTreeMap;

use super::*;

#[derive(Default)]
struct Words(BTreeMap<u64, u64>);

impl DirtySink for Words {
    fn mark(&mut self, word: u64, bits: u64) {
        *self.0.entry(word).or_default() |= bits;
    }
}

#[test]
fn a_guest_above_three_gigabytes_has_memory_on_both_sides_of_the_hole() {
    let ram = GuestRam::new(Bytes(5 << 30)).unwrap();
    assert_eq!(ram.layout().ranges(), [0..786_432, 1_048_576..1_572_864]);
    ram.store((6 << 30) - 8, 7).unwrap();
    assert_eq!(ram.load((6 << 30) - 8).unwrap(), 7);
    assert!(ram.load(HOLE_START).is_err());
    assert!(
        ram.read_pages(PageIndex(786_431), &mut [0; 8192]).is_err(),
        "a run must not span the hole"
    );
}

#[test]
fn what_the_monitor_writes_is_given_once_as_dirty() {
    let ram = GuestRam::new(Bytes(2 << 20)).unwrap();
    ram.write_pages(PageIndex(65), &[1; 4096]).unwrap();
    ram.store(3 * 4096 + 8, 1).unwrap();
    let mut words = Words::default();
    ram.drain_own_writes(&mut words);
    assert_eq!(words.0, BTreeMap::from([(0, 1 << 3), (1, 1 << 1)]));
    let mut words = Words::default();
    ram.drain_own_writes(&mut words);
    assert!(words.0.is_empty());
}

#[test]
fn zeroed_pages_read_as_zeros_and_their_neighbours_stay() {
    let ram = GuestRam::new(Bytes(2 << 20)).unwrap();
    ram.write_pages(PageIndex(0), &[0xAB; 4 * 4096]).unwrap();
    ram.zero_pages(PageIndex(1), 2).unwrap();
    let mut bytes = vec![0; 4 * 4096];
    ram.read_pages(PageIndex(0), &mut bytes).unwrap();
    assert!(bytes[..4096].iter().all(|b| *b == 0xAB));
    assert!(bytes[4096..3 * 4096].iter().all(|b| *b == 0));
    assert!(bytes[3 * 4096..].iter().all(|b| *b == 0xAB));
}

#[test]
fn odd_sizes_are_refused() {
    assert!(matches!(GuestRam::new(Bytes(0)), Err(MemoryError::Size(..))));
    assert!(matches!(GuestRam::new(Bytes((2 << 20) + 4096)), Err(MemoryError::Size(..))));
}

#[test]
fn only_pages_that_nobody_wrote_are_untouched() {
    let ram = GuestRam::new(Bytes(4 << 20)).unwrap();
    assert!(ram.is_untouched(PageIndex(0), 1024));
    ram.store(100 * 4096 + 8, 1).unwrap();
    assert!(!ram.is_untouched(PageIndex(64), 64));
    assert!(!ram.is_untouched(PageIndex(100), 1));
    assert!(ram.is_untouched(PageIndex(101), 900), "whatever comes before");
    ram.write_pages(PageIndex(200), &[0; 4096]).unwrap();
    assert!(!ram.is_untouched(PageIndex(200), 1), "written with zeros is written");
    ram.zero_pages(PageIndex(100), 1).unwrap();
    assert!(ram.is_untouched(PageIndex(64), 64));
    assert!(!ram.is_untouched(PageIndex(1 << 30), 1), "outside of memory nothing is known");
}

#[test]
fn a_guests_memory_can_be_looked_at_and_written_to_by_its_file() {
    let ram = GuestRam::new(Bytes(4 << 20)).unwrap();
    ram.store(0x1000, 7).unwrap();
    let (file, _, _) = ram.behind(PageIndex(0), 1).unwrap();
    let seen = GuestRam::of_file(file.file().try_clone().unwrap()).unwrap();
    assert_eq!((seen.size(), seen.load(0x1000).unwrap()), (ram.size(), 7));
    seen.store(0x1000, 8).unwrap();
    assert_eq!(ram.load(0x1000).unwrap(), 8);
    let odd = tempfile::tempfile().unwrap();
    odd.set_len(4097).unwrap();
    assert!(matches!(GuestRam::of_file(odd), Err(MemoryError::Size(..))));
}

#[test]
fn nobody_can_change_the_length_of_a_guests_memory_or_forbid_writing_to_it() {
    let ram = GuestRam::new(Bytes(4 << 20)).unwrap();
    let (behind, _, _) = ram.behind(PageIndex(0), 1).unwrap();
    let path = format!("/proc/self/fd/{}", behind.file().as_raw_fd());
    let stranger = File::options().read(true).write(true).open(path).unwrap();
    for length in [0, 2 << 20, 6 << 20] {
        let refused = stranger.set_len(length).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM), "{length} bytes");
    }
    // SAFETY: a plain call on a descriptor that `stranger` owns.
    let added =
        unsafe { libc::fcntl(stranger.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE) };
    assert_eq!(added, -1);
    ram.store((4 << 20) - 8, 7).unwrap();
    ram.zero_pages(PageIndex(1023), 1).unwrap();
    assert_eq!(ram.load((4 << 20) - 8).unwrap(), 0);
}
