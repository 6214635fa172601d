//! Where everything is: addresses, ports and interrupt lines of the PC.

use std::ops::Range;

/// More disks and network cards do not fit onto lines of their own.
pub const MAX_DEVICES: usize = 8;
const _: () = assert!(DEVICE_LINES.end - DEVICE_LINES.start == 8);
const _: () = assert!(OTHER_LINES.len() == 3);

/// More do not fit into identifiers of a byte, of which one is for all and one for the I/O APIC.
pub const MAX_VCPUS: usize = 254;

/// The descriptors of the segments that the kernel begins with.
pub(super) const DESCRIPTORS: u64 = 0x500;
/// What a PVH kernel is told.
pub(super) const START_INFO: u64 = 0x6000;
/// The list with the initial RAM disk, for a PVH kernel.
pub(super) const MODULES: u64 = 0x6100;
/// The memory map, for a PVH kernel.
pub(super) const MEMORY_MAP: u64 = 0x6200;
/// What Linux is told.
pub(super) const BOOT_PARAMETERS: u64 = 0x7000;
/// The command line, and the most that fits with its end.
pub(super) const COMMAND_LINE: u64 = 0x2_0000;
pub(super) const COMMAND_LINE_ROOM: usize = 0x1_0000;
/// Where low memory for everybody ends.
pub(super) const LOW_MEMORY_END: u64 = 0x9_FC00;
/// The ACPI tables, where firmware would have its own.
pub(super) const ACPI_TABLES: u64 = 0xE_0000;
pub(super) const ACPI_ROOM: u64 = 0x1_F000;
/// Where a PC without firmware has code of its own all the same: where systems jump to that restart as one did in 1981.
pub(super) const RESTART_PAGE: u64 = 0xF_F000;
pub(super) const RESTART: u64 = 0xF_FFF0;
/// Where a kernel may begin.
pub(super) const HIGH_MEMORY: u64 = 0x10_0000;

/// Interrupt controllers, where KVM has them.
pub(super) const IO_APIC: u32 = 0xFEC0_0000;
pub(super) const LOCAL_APIC: u32 = 0xFEE0_0000;

/// The serial port's interrupt.
pub(super) const SERIAL_LINE: u32 = 4;

/// The virtio devices: one page of addresses for each, and one line.
pub(super) const DEVICES: u32 = 0xD000_0000;
pub(super) const DEVICE_ROOM: u32 = 0x1000;
pub(super) const DEVICE_LINES: Range<u32> = 16..24;
/// The lines of those that come behind as many disks and cards as there can be: random numbers, the balloon and the console. No
/// timer, keyboard, serial port or disk of an older PC has them.
const OTHER_LINES: [u32; 3] = [11, 10, 9];

/// The address of virtio device `number`, and its line.
pub(super) fn device_place(number: usize) -> Option<(u32, u32)> {
    let mut lines = (0..).zip(DEVICE_LINES.chain(OTHER_LINES));
    let (room, line) = lines.nth(number)?;
    Some((DEVICES + room * DEVICE_ROOM, line))
}

/// The registers by which the guest ends, as ACPI tells them.
pub(super) const SLEEP_CONTROL_PORT: u16 = 0x604;
pub(super) const SLEEP_STATUS_PORT: u16 = 0x605;
pub(super) const RESET_PORT: u16 = 0x608;
pub(super) const RESET_VALUE: u8 = 1;
/// The sleep type that is power-off.
pub(super) const SOFT_OFF: u8 = 5;

/// The old keyboard controller, by which systems that know nothing better reset a PC.
pub(super) const KEYBOARD_CONTROLLER_PORT: u16 = 0x64;
pub(super) const KEYBOARD_RESET: u8 = 0xFE;
