//! Guests in KVM.

mod bitmap;
mod ioctl;
mod ring;
mod rings;
mod state;
mod vcpu;
mod vm;

pub use state::{SavedMsr, SavedVcpu};
pub use vcpu::{KvmCpu, LongModeEntry};
pub use vm::{DirtyTracking, KvmError, KvmVm, has_dirty_ring, is_available, tsc_frequency};
