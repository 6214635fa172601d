//! Restarting as PCs always have: by a jump to where firmware begins.
//!
//! Linux takes this way where ACPI is without fixed hardware and there is no EFI, and never tries the reset register then.

use vm_memory::{Bytes as _, GuestAddress, GuestMemoryError};

use super::map::{HIGH_MEMORY, RESET_PORT, RESET_VALUE, RESTART};
use crate::memory::GuestRam;

const PORT: [u8; 2] = RESET_PORT.to_le_bytes();

/// 16-bit code that writes the reset register (`mov dx`, `mov al`, `out`), and halts if that was not the end.
pub(super) const CODE: [u8; 9] =
    [0xBA, PORT[0], PORT[1], 0xB0, RESET_VALUE, 0xEE, 0xF4, 0xEB, 0xFD];
const _: () = assert!(RESTART + CODE.len() as u64 <= HIGH_MEMORY);

/// Puts the code where systems jump to.
pub(super) fn write_restart(ram: &GuestRam) -> Result<(), GuestMemoryError> {
    ram.map().write_slice(&CODE, GuestAddress(RESTART))
}
