//! How fast the guest dirties pages.

use std::collections::VecDeque;

use crate::decision::VcpuThrottles;
use crate::sample::Harvest;

/// What is older is forgotten: a burst that ended must be noticed within a few hundred milliseconds.
const MEMORY: f64 = 0.2;
/// Readings kept of a log that is read only once a pass.
const PASSES: usize = 8;

/// Rates of dirtying, per second of guest run time and per second of wall time, over the last few readings.
#[derive(Clone, Debug)]
pub(crate) struct Dirtying {
    /// The log is read only once a pass, so that each reading undercounts what was written more than once.
    once_a_pass: bool,
    vcpus: usize,
    readings: VecDeque<Reading>,
}

#[derive(Clone, Debug, Default)]
struct Reading {
    wall: f64,
    ran: f64,
    written: f64,
    dirtied: f64,
    newly: f64,
    /// Written and run by vCPU; empty where the log cannot tell.
    by_vcpu: Vec<(f64, f64)>,
}

impl Dirtying {
    pub(crate) fn new(vcpus: usize, once_a_pass: bool) -> Self {
        Self { once_a_pass, vcpus, readings: VecDeque::new() }
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
        // A guest always runs a little; a run time of nothing beside dirtied pages would be a rate without bound.
        let ran = harvest.guest_ran.as_secs_f64().clamp(wall * 0.005, wall);
        let dirtied = harvest.dirtied.0 as f64;
        let written = match scattered {
            Some(set) if dirtied < 0.95 * set => -set * (1.0 - dirtied / set).ln(),
            _ => dirtied,
        };
        let repeats = if dirtied > 0.0 { written / dirtied } else { 1.0 };
        let by_vcpu = if harvest.dirtied_by_vcpu.len() == self.vcpus {
            // The mean run time of all says little of one when they are held back unlike each other.
            let alone = matches!(throttles, VcpuThrottles::PerVcpu(_));
            let ran_by =
                |index: usize| match (harvest.guest_ran_by_vcpu.get(index), throttles.of(index)) {
                    (Some(ran), _) => ran.as_secs_f64().clamp(wall * 0.005, wall),
                    (None, Some(duty)) if alone => wall * duty.throttle().run_share(),
                    (None, None) if alone => wall,
                    _ => ran,
                };
            let pages = harvest.dirtied_by_vcpu.iter().enumerate();
            pages.map(|(index, pages)| (pages.0 as f64 * repeats, ran_by(index))).collect()
        } else {
            Vec::new()
        };
        let newly = harvest.newly_dirty.0 as f64;
        self.readings.push_back(Reading { wall, ran, written, dirtied, newly, by_vcpu });
        self.forget();
    }

    fn forget(&mut self) {
        if self.once_a_pass {
            while self.readings.len() > PASSES {
                self.readings.pop_front();
            }
            return;
        }
        let mut walls: f64 = self.readings.iter().map(|reading| reading.wall).sum();
        while let Some(oldest) = self.readings.front()
            && walls - oldest.wall >= MEMORY
        {
            walls -= oldest.wall;
            self.readings.pop_front();
        }
    }

    fn sum(&self, of: impl Fn(&Reading) -> f64) -> f64 {
        self.readings.iter().map(of).sum()
    }

    /// Pages written per second of guest run time.
    pub(crate) fn unthrottled(&self) -> f64 {
        if self.once_a_pass {
            // Each is a lower bound, so the highest is the nearest.
            let rates = self.readings.iter().map(|reading| ratio(reading.written, reading.ran));
            return rates.fold(0.0, f64::max);
        }
        let by_vcpu = self.by_vcpu();
        if by_vcpu.is_empty() {
            ratio(self.sum(|reading| reading.written), self.sum(|reading| reading.ran))
        } else {
            by_vcpu.iter().sum()
        }
    }

    /// As [`Self::unthrottled`], by the latest reading alone.
    pub(crate) fn latest(&self) -> f64 {
        self.readings.back().map_or(0.0, |latest| {
            if latest.by_vcpu.is_empty() {
                ratio(latest.written, latest.ran)
            } else {
                latest.by_vcpu.iter().map(|(written, ran)| ratio(*written, *ran)).sum()
            }
        })
    }

    /// The share of time for which the guest ran while the latest reading was taken.
    pub(crate) fn latest_run_share(&self) -> f64 {
        self.readings.back().map_or(1.0, |latest| ratio(latest.ran, latest.wall))
    }

    /// As [`Self::unthrottled`], but no less than what so few pages could hide by chance.
    pub(crate) fn unthrottled_at_most(&self) -> f64 {
        let doubt = 2.0 * self.sum(|reading| reading.written).sqrt() + 2.0;
        self.unthrottled() + ratio(doubt, self.sum(|reading| reading.ran))
    }

    /// Pages written per second of run time, by vCPU; empty where that is not known.
    pub(crate) fn by_vcpu(&self) -> Vec<f64> {
        if self.readings.back().is_none_or(|latest| latest.by_vcpu.is_empty()) {
            return Vec::new();
        }
        let sums = |index: usize| {
            let of_one = self.readings.iter().filter_map(|reading| reading.by_vcpu.get(index));
            of_one.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        (0..self.vcpus).map(sums).map(|(written, ran)| ratio(written, ran)).collect()
    }

    /// Distinct pages dirtied per second of wall time.
    pub(crate) fn wall(&self) -> f64 {
        ratio(self.sum(|reading| reading.dirtied), self.sum(|reading| reading.wall))
    }

    /// Pages per second of wall time that were clean and became dirty: what works against the migration.
    pub(crate) fn newly(&self) -> f64 {
        ratio(self.sum(|reading| reading.newly), self.sum(|reading| reading.wall))
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
