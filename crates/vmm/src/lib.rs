//! Landfall's own virtual machine monitor: guests in KVM and synthetic ones, throttled in their own threads, and movable
//! while they run.

pub mod devices;
mod dirty_rate;
pub mod kvm;
pub mod machine;
pub mod memory;
pub mod monitor;
pub mod pc;
pub mod probe;
pub mod process;
pub mod sandbox;
mod scheduler;
mod signal;
mod sync;
pub mod synthetic;
pub mod vcpu;
