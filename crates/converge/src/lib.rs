//! The decision: does a live migration converge, and how hard must the guest be throttled so that it does?
//!
//! This crate is pure. It has no clock, does no I/O and starts no threads: time comes in as [`Sample::elapsed`], and
//! what should happen goes out as a [`Decision`]. The same [`Controller`] therefore runs inside a native migration, over
//! the statistics of a QEMU process, in the simulator, and in a prediction made before a migration begins.

#![forbid(unsafe_code)]

mod apportion;
mod assess;
mod controller;
mod decision;
mod duty;
mod estimate;
mod limits;
pub mod measurement;
mod outlook;
mod policy;
mod predict;
mod sample;
pub mod simulator;
mod switchover;
pub mod units;
mod verdict;

pub use controller::{Controller, GuestShape};
pub use decision::{Decision, GiveUpReason, VcpuThrottles};
pub use duty::{DutyCycle, LEAST_RUN};
pub use estimate::{Estimates, NEVER};
pub use limits::{Limits, OnLimit, Policy, Sampling};
pub use policy::SteppedParameters;
pub use sample::{DirtyWindow, Harvest, Sample};
pub use units::{ByteRate, Bytes, PAGE_SIZE, Pages, Throttle};
pub use verdict::{Verdict, VerdictState};
