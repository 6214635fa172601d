//! Guests in KVM.

mod dirty;
mod ioctl;
mod state;
mod vcpu;
mod vm;

pub use dirty::KvmDirtyLog;
pub use state::{SavedMsr, SavedVcpu};
pub use vcpu::{KvmCpu, LongModeEntry};
pub use vm::{KvmError, KvmVm, is_available, tsc_frequency};
