//! What a guest does, from a look at its dirty log before a migration.
//!
//! The dirty log is read in regular ticks. [`DirtyCurve`] turns the readings into a curve: how many distinct pages are
//! written in windows of each length. [`DirtyMeasurement::load`] fits a guest model to that curve, and the simulator says
//! what a migration of such a guest would do.

mod curve;
mod fit;

use std::time::Duration;

use crate::simulator::{GuestModel, Rhythm, VcpuModel, Workload};
use crate::units::{ByteRate, Bytes};

pub use curve::DirtyCurve;

/// What was measured of a guest while nobody held it back.
#[derive(Clone, Debug, PartialEq)]
pub struct DirtyMeasurement {
    /// Distinct memory written in windows of different lengths, shortest first, each the mean over such windows.
    pub windows: Vec<(Duration, Bytes)>,
    /// Whether it writes all the time or in bursts.
    pub rhythm: Rhythm,
    /// Bytes of pages written a second by each vCPU; empty where the dirty log cannot tell. Only their proportions count.
    pub vcpu_rates: Vec<ByteRate>,
    /// The guest's memory.
    pub memory: Bytes,
    /// The part of it that holds anything but zeros.
    pub non_zero: Bytes,
}

/// What a guest does to its memory, as far as a measurement tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedLoad {
    /// Bytes of pages written a second while it writes.
    pub rate: ByteRate,
    /// Where and in what order.
    pub workload: Workload,
    /// Whether an end of what it writes to was seen. Otherwise all memory that is in use is taken for it.
    pub is_bounded: bool,
}

impl FittedLoad {
    /// The name of the pattern.
    #[must_use]
    pub fn pattern(&self) -> &'static str {
        match self.workload {
            Workload::Idle => "idle",
            Workload::Sweep { .. } => "sweep",
            Workload::Random { .. } => "random",
            Workload::HotAndCold { .. } => "hot-and-cold",
        }
    }
}

impl DirtyMeasurement {
    /// The load that explains the measurement best.
    #[must_use]
    pub fn load(&self) -> FittedLoad {
        fit::load(self)
    }

    /// A guest that does what was measured.
    #[must_use]
    pub fn guest(&self) -> GuestModel {
        let load = self.load();
        let in_use = Bytes(self.non_zero.0.max(load.workload.extent().0).min(self.memory.0));
        GuestModel {
            memory: self.memory,
            zero: self.memory.saturating_sub(in_use),
            vcpus: self.vcpus(&load),
        }
    }

    /// One vCPU that does it all where the log does not tell them apart; otherwise each has its share, of the pages too.
    fn vcpus(&self, load: &FittedLoad) -> Vec<VcpuModel> {
        let all: f64 = self.vcpu_rates.iter().map(|rate| rate.bytes_per_second()).sum();
        let shares = if all > 0.0 {
            self.vcpu_rates.iter().map(|rate| rate.bytes_per_second() / all).collect()
        } else {
            vec![1.0]
        };
        let mut base = Bytes(0);
        let mut vcpus = Vec::new();
        for share in shares {
            let workload = load.workload.scaled(share);
            let rate = load.rate * share;
            vcpus.push(VcpuModel { workload, rate, rhythm: self.rhythm, base, phase: 0.0 });
            base += workload.extent();
        }
        vcpus
    }
}

#[cfg(test)]
#[path = "measurement_tests.rs"]
mod tests;
