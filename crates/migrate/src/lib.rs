//! The movement: takes a running guest to another process, page by page, and gives it away in one step.
//!
//! This crate knows nothing of KVM. A hypervisor offers it the small traits of [`machine`]; `landfall-vmm` does so for
//! KVM and for native threads, and any other Rust VMM can.

#![forbid(unsafe_code)]

pub mod machine;
pub mod options;
pub mod progress;
pub mod report;
