//! The probe guest: a small program that dirties memory in a chosen way and checks all that it reads.
//!
//! Every page of a vCPU's range begins with one 64-bit word: a sequence number in the upper 24 bits, the page's own
//! address in the lower 40. Before each write the guest compares the word with the one that must be there, so it finds
//! a stale, lost or mixed-up page by itself, while it is being migrated and afterwards. The rest of each page holds a
//! pattern that never changes, for the monitor to verify while the guest is stopped.

mod check;
mod elf;
mod image;
pub(crate) mod layout;
mod program;
mod stub;
mod workload;

pub use check::check;
pub use elf::{ElfError, elf};
pub use image::{ProbeError, install};
pub use layout::{ControlBlock, Plan, PlanError, ROOT_TABLE, VcpuRange};
pub use program::{CODE_ADDRESS, DEBUG_PORT, program};
pub use workload::{Burst, ParseWorkloadError, Pattern, Workload};
