//! The machine that operating systems run in: a PC without firmware, entered at the kernel.
//!
//! It is found through ACPI, in the form without fixed hardware: processors, interrupt controllers, a serial port, and
//! registers for power-off and reset. Interrupt controllers, timer and clock are KVM's own.

mod acpi;
mod board;
mod boot;
mod feature_names;
mod features;
mod map;
mod memory_map;
mod processor;
mod restart;
mod start;

pub use acpi::AcpiError;
pub use board::{PcBoard, PcDevices};
pub use boot::{BootError, BootFiles, boot};
pub use features::features;
pub use map::{MAX_DEVICES, MAX_VCPUS};
pub use processor::Processor;
