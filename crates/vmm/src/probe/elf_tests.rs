use landfall_converge::Bytes;

use super::*;
use crate::probe::Workload;

fn guest(vcpus: usize) -> (Plan, GuestRam, Vec<u8>) {
    let ram = GuestRam::new(Bytes(16 << 20)).unwrap();
    let workload = Workload { working_set: Bytes(2 << 20), ..Workload::default() };
    let plan = Plan::new(workload, vcpus, &ram).unwrap();
    let elf = elf(&plan, &ram, 1_000_000_000).unwrap();
    (plan, ram, elf)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn segments(elf: &[u8], kind: u32) -> Vec<(u64, &[u8])> {
    let count = usize::from(u16::from_le_bytes(elf[56..58].try_into().unwrap()));
    (0..count)
        .map(|index| &elf[64 + index * 56..][..56])
        .filter(|header| header[..4] == kind.to_le_bytes())
        .map(|header| {
            let [offset, size] = [8, 32].map(|at| usize::try_from(word(header, at)).unwrap());
            (word(header, 24), &elf[offset..offset + size])
        })
        .collect()
}

#[test]
fn the_file_says_where_a_pvh_guest_is_entered() {
    let (_, _, elf) = guest(1);
    assert_eq!(elf[..4], *b"\x7fELF");
    let notes = segments(&elf, PT_NOTE);
    let [(_, note)] = notes[..] else { panic!("one note") };
    assert_eq!(note[8..12], PHYS32_ENTRY.to_le_bytes());
    assert_eq!(word(note, 16), u64::from(STUB_ADDRESS));
    assert!(segments(&elf, PT_LOAD).iter().any(|(address, _)| *address == u64::from(STUB_ADDRESS)));
}

#[test]
fn every_page_of_the_guest_is_in_the_file_as_it_is_in_memory() {
    let (plan, ram, elf) = guest(2);
    let segments = segments(&elf, PT_LOAD);
    let find = |address: u64| {
        segments.iter().find_map(|(start, bytes)| {
            let into = usize::try_from(address.checked_sub(*start)?).unwrap();
            bytes.get(into..into + 4096)
        })
    };
    for range in &plan.vcpus {
        for page in 0..range.pages {
            let address = range.base + page * PAGE_SIZE;
            let mut expected = [0; 4096];
            ram.read_pages(PageIndex(address / PAGE_SIZE), &mut expected).unwrap();
            assert_eq!(find(address).unwrap(), expected, "{address:#x}");
        }
        // The control block waits among what the stub moves.
        assert!(find(range.control).is_none());
        let staged = find(STAGED + range.control - CODE_ADDRESS).unwrap();
        assert_eq!(word(staged, 0), range.base);
    }
    let low = find(STAGED).unwrap();
    assert_eq!(&low[..64], &program()[..64]);
}

#[test]
fn nothing_is_loaded_where_firmware_works_and_nothing_twice() {
    let (_, _, elf) = guest(2);
    let mut ranges: Vec<_> = segments(&elf, PT_LOAD)
        .into_iter()
        .map(|(start, bytes)| start..start + bytes.len() as u64)
        .collect();
    ranges.sort_by_key(|range| range.start);
    assert!(ranges[0].start >= LOW_MEMORY_END);
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{ranges:x?}");
}
