//! Steers a stock QEMU: reads what its monitor tells of a migration, asks the controller of `landfall-converge`, and sets
//! the parameters by which QEMU's own auto-converge throttles.
//!
//! QEMU moves its throttle at the end of every second bad pass: to `cpu-throttle-initial` the first time, and then by
//! `cpu-throttle-increment` up to `max-cpu-throttle`. All three, and what makes a pass a bad one, can be changed while it
//! migrates; so whoever sets them decides where the throttle goes, also downwards. What was found in them is put back.

#![forbid(unsafe_code)]

mod bill;
mod course;
mod found;
mod lever;
mod memo;
#[cfg(test)]
mod model;
mod monitor;
mod options;
mod pilot;
mod readings;
mod vcpus;
mod virsh;

pub use bill::{Bill, Change, Outcome, Point};
pub use memo::Memo;
pub use monitor::{AskError, Monitor};
pub use options::{AtLimit, Observer, Options, PilotError, Progress, Wish};
pub use pilot::Pilot;
pub use virsh::Virsh;
