use landfall_converge::Bytes;

use super::*;

fn ram() -> GuestRam {
    GuestRam::new(Bytes(16 << 20)).unwrap()
}

fn read(ram: &GuestRam, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    ram.map().read_slice(&mut bytes, GuestAddress(address)).unwrap();
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The table at `address`, whose length stands in it, and whose bytes must add up to nothing.
fn table(ram: &GuestRam, address: u64) -> Vec<u8> {
    let length = usize::try_from(number(&read(ram, address + 4, 4))).unwrap();
    let table = read(ram, address, length);
    assert_eq!(table.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)), 0);
    table
}

/// Follows the tables as a kernel does: from the root pointer over the list.
fn tables(ram: &GuestRam, root: u64) -> Vec<Vec<u8>> {
    let pointer = read(ram, root, Rsdp::len());
    assert_eq!(&pointer[..8], b"RSD PTR ");
    let list = table(ram, number(&pointer[24..32]));
    assert_eq!(&list[..4], b"XSDT");
    list[36..].chunks(8).map(|entry| table(ram, number(entry))).collect()
}

#[test]
fn a_kernel_finds_processors_devices_and_the_way_to_power_off() {
    let ram = ram();
    let root = write_tables(&ram, 3, 2).unwrap();
    let [fixed, processors] = &tables(&ram, root)[..] else { panic!("two tables") };
    assert_eq!((&fixed[..4], &processors[..4]), (&b"FACP"[..], &b"APIC"[..]));
    // A local APIC is a structure of type 0 with 8 bytes, the I/O APIC one of type 1 with 12.
    assert_eq!(processors.len(), 44 + 3 * 8 + 12);
    let ids: Vec<_> = processors[44..44 + 24].chunks(8).map(|apic| apic[3]).collect();
    assert_eq!(ids, [0, 1, 2]);
    // The register for reset and its value, and the one for sleep.
    assert_eq!(number(&fixed[120..128]), u64::from(RESET_PORT));
    assert_eq!(fixed[128], RESET_VALUE);
    assert_eq!(number(&fixed[248..256]), u64::from(SLEEP_CONTROL_PORT));
    let devices = table(&ram, number(&fixed[140..148]));
    assert_eq!(&devices[..4], b"DSDT");
    assert!(devices.windows(4).any(|name| name == b"COM1"));
    assert!(devices.windows(4).any(|name| name == b"_S5_"));
}

#[test]
fn as_many_processors_as_a_pc_can_have_fit() {
    let ram = ram();
    let root = write_tables(&ram, super::super::MAX_VCPUS, 2).unwrap();
    assert_eq!(tables(&ram, root).len(), 2);
    assert!(matches!(write_tables(&ram, 257, 2), Err(AcpiError::TooLarge)));
}

#[test]
fn as_many_devices_as_a_pc_can_have_fit_with_random_numbers_a_balloon_and_a_console() {
    let ram = ram();
    let most = super::super::MAX_DEVICES + 3;
    let root = write_tables(&ram, 1, most).unwrap();
    let devices = table(&ram, number(&tables(&ram, root)[0][140..148]));
    let names = (0..most).map(|device| format!("VIO{device:X}"));
    assert!(names.into_iter().all(|name| devices.windows(4).any(|part| part == name.as_bytes())));
    assert!(matches!(write_tables(&ram, 1, most + 1), Err(AcpiError::TooLarge)));
}
