//! How fast the guest dirties pages.

use crate::decision::VcpuThrottles;
use crate::sample::Harvest;

/// What is older counts for less than a third: a burst that ended must be noticed within a few hundred milliseconds.
const MEMORY: f64 = 0.12;

/// Rates of dirtying, per second of guest run time and per second of wall time.
///
/// Sums that fade, rather than a mean of rates: a sample in which the guest hardly ran then weighs as little as it
/// says.
#[derive(Clone, Debug)]
pub(crate) struct Dirtying {
    wall: f64,
    ran: f64,
    written: f64,
    dirtied: f64,
    newly: f64,
    by_vcpu: Vec<VcpuSum>,
    known_by_vcpu: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct VcpuSum {
    written: f64,
    ran: f64,
}

impl Dirtying {
    pub(crate) fn new(vcpus: usize) -> Self {
        Self {
            wall: 0.0,
            ran: 0.0,
            written: 0.0,
            dirtied: 0.0,
            newly: 0.0,
            by_vcpu: vec![VcpuSum::default(); vcpus],
            known_by_vcpu: false,
        }
    }

    /// Takes in a harvest. `scattered` is the working set of a guest that writes at random, whose harvests undercount
    /// what it writes because it hits the same page twice.
    pub(crate) fn observe(
        &mut self,
        harvest: &Harvest,
        throttles: &VcpuThrottles,
        scattered: Option<f64>,
    ) {
        let wall = harvest.elapsed.as_secs_f64();
        if wall <= 0.0 {
            return;
        }
        let kept = (-wall / MEMORY).exp();
        // A guest always runs a little; a run time of nothing beside dirtied pages would be a rate without bound.
        let ran = harvest.guest_ran.as_secs_f64().clamp(wall * 0.005, wall);
        let dirtied = harvest.dirtied.0 as f64;
        let written = match scattered {
            Some(set) if dirtied < 0.95 * set => -set * (1.0 - dirtied / set).ln(),
            _ => dirtied,
        };
        self.wall = self.wall * kept + wall;
        self.ran = self.ran * kept + ran;
        self.written = self.written * kept + written;
        self.dirtied = self.dirtied * kept + dirtied;
        self.newly = self.newly * kept + harvest.newly_dirty.0 as f64;
        self.known_by_vcpu = !harvest.dirtied_by_vcpu.is_empty()
            && harvest.dirtied_by_vcpu.len() == self.by_vcpu.len();
        if self.known_by_vcpu {
            let repeats = if dirtied > 0.0 { written / dirtied } else { 1.0 };
            let one_by_one = matches!(throttles, VcpuThrottles::PerVcpu(_));
            for (index, (sum, pages)) in
                self.by_vcpu.iter_mut().zip(&harvest.dirtied_by_vcpu).enumerate()
            {
                // The mean run time of all says little of one when they are held back unlike each other.
                let ran = match throttles.of(index) {
                    Some(duty) if one_by_one => wall * duty.throttle().run_share(),
                    None if one_by_one => wall,
                    _ => ran,
                };
                sum.ran = sum.ran * kept + ran;
                sum.written = sum.written * kept + pages.0 as f64 * repeats;
            }
        }
    }

    /// Pages written per second of guest run time.
    pub(crate) fn unthrottled(&self) -> f64 {
        if self.known_by_vcpu {
            return self.by_vcpu().iter().sum();
        }
        ratio(self.written, self.ran)
    }

    /// As [`Self::unthrottled`], but no less than what so few pages could hide by chance.
    pub(crate) fn unthrottled_at_most(&self) -> f64 {
        let doubt = 2.0 * self.written.sqrt() + 2.0;
        self.unthrottled() + ratio(doubt, self.ran)
    }

    /// Pages written per second of run time, by vCPU; empty where that is not known.
    pub(crate) fn by_vcpu(&self) -> Vec<f64> {
        if !self.known_by_vcpu {
            return Vec::new();
        }
        self.by_vcpu.iter().map(|sum| ratio(sum.written, sum.ran)).collect()
    }

    /// Distinct pages dirtied per second of wall time.
    pub(crate) fn wall(&self) -> f64 {
        ratio(self.dirtied, self.wall)
    }

    /// Pages per second of wall time that were clean and became dirty: what works against the migration.
    pub(crate) fn newly(&self) -> f64 {
        ratio(self.newly, self.wall)
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
