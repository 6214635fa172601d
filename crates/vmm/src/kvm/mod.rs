//! Guests in KVM.

mod bitmap;
mod chipset;
mod entry;
mod ioctl;
mod ring;
mod rings;
mod state;
mod vcpu;
mod vm;

pub use chipset::SavedChipset;
pub use entry::{FLAT_CODE, FLAT_DATA, FlatEntry, LongModeEntry};
pub use state::{SavedMsr, SavedVcpu};
pub use vcpu::KvmCpu;
pub use vm::{DirtyTracking, KvmError, KvmVm, has_dirty_ring, is_available, tsc_frequency};
