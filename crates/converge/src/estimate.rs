//! What is believed about guest and link.

mod bandwidth;
mod dirtying;
mod working_set;

use std::time::Duration;

use crate::decision::VcpuThrottles;
use crate::limits::Sampling;
use crate::predict::{Load, Pattern};
use crate::sample::Sample;
use crate::units::{ByteRate, Bytes, Pages};

pub(crate) use bandwidth::Bandwidth;
pub(crate) use dirtying::Dirtying;
pub(crate) use working_set::WorkingSet;

/// Stands for "not in any time that matters": a hundred years. Finite, so that adding to it does not overflow.
pub const NEVER: Duration = Duration::from_secs(3_155_760_000);

/// What is believed about guest and link at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimates {
    /// Bytes that leave for the destination per second, smoothed.
    pub bandwidth: ByteRate,
    /// Distinct bytes dirtied per second of wall time, as the guest is throttled now.
    pub dirty_rate: ByteRate,
    /// Bytes dirtied per second of guest run time: what the guest would dirty if nobody held it back.
    pub unthrottled_dirty_rate: ByteRate,
    /// The pages that the guest keeps rewriting, as far as they were seen.
    pub working_set: Pages,
    /// The downtime if the guest were stopped now; [`NEVER`] while nothing leaves.
    pub expected_downtime: Duration,
}

/// Turns samples into beliefs.
#[derive(Clone, Debug)]
pub(crate) struct Estimator {
    pub(crate) bandwidth: Bandwidth,
    pub(crate) dirtying: Dirtying,
    pub(crate) working_set: WorkingSet,
    /// What remained when the last sample was taken.
    pub(crate) remaining: Pages,
    /// What that takes, if it was counted.
    pub(crate) counted: Option<Bytes>,
    /// The fixed part of downtime, as measured last.
    pub(crate) fixed_downtime: Duration,
    /// Wall time since the dirty log was read.
    pub(crate) since_harvest: Duration,
    /// How often the dirty log was read.
    pub(crate) harvests: u32,
    /// All that was dirty had been sent when the last sample was taken.
    pub(crate) keeps_up: bool,
}

impl Estimator {
    pub(crate) fn new(sampling: Sampling, vcpus: usize) -> Self {
        // Who looks only at the end of a pass always finds the queue drained: to it that means nothing.
        let once_a_pass = sampling == Sampling::PassEnd;
        Self {
            bandwidth: Bandwidth::new(!once_a_pass),
            dirtying: Dirtying::new(vcpus, once_a_pass),
            working_set: WorkingSet::default(),
            remaining: Pages(0),
            counted: None,
            fixed_downtime: Duration::ZERO,
            since_harvest: Duration::ZERO,
            harvests: 0,
            keeps_up: false,
        }
    }

    /// Takes in a sample, measured while `throttles` were in force.
    pub(crate) fn observe(&mut self, sample: &Sample, throttles: &VcpuThrottles) {
        let newly = sample.harvest.as_ref().map_or(Pages(0), |harvest| harvest.newly_dirty);
        let drained = sample.remaining <= newly;
        self.bandwidth.observe(sample, drained);
        self.since_harvest = self.since_harvest.saturating_add(sample.elapsed);
        if let Some(harvest) = &sample.harvest {
            self.working_set.observe(harvest);
            self.dirtying.observe(harvest, throttles, self.load_shape());
            self.since_harvest = Duration::ZERO;
            self.harvests = self.harvests.saturating_add(1);
        }
        self.keeps_up = drained;
        self.remaining = sample.remaining;
        self.counted = None;
        self.fixed_downtime = sample.fixed_downtime;
    }

    /// The working set, where random writing would make a harvest undercount.
    fn load_shape(&self) -> Option<f64> {
        (self.working_set.pattern() == Some(Pattern::Random) && self.working_set.bounded())
            .then(|| self.working_set.pages())
    }

    /// The guest's load as it is believed to be; where its pattern is unknown, as `assumed`.
    pub(crate) fn load(&self, assumed: Pattern) -> Load {
        Load {
            rate: self.dirtying.unthrottled(),
            working_set: self.working_set.bounded().then(|| self.working_set.pages()),
            pattern: self.working_set.pattern().unwrap_or(assumed),
        }
    }

    /// The pages that a stop now would leave to be sent: what remains, and what was dirtied since the log was read
    /// and will be until the guest stands still.
    pub(crate) fn pages_at_stop(&self) -> f64 {
        let late = self.dirtying.wall() * self.lag().as_secs_f64();
        let bound = if self.working_set.bounded() { self.working_set.pages() } else { late };
        self.remaining.0 as f64 + late.min(bound)
    }

    /// From when the log was read until the guest stands still, should it be stopped now.
    pub(crate) fn lag(&self) -> Duration {
        /// Between the decision and the last vCPU's stop.
        const STOPPING: Duration = Duration::from_millis(2);
        self.since_harvest.saturating_add(STOPPING)
    }

    /// The downtime that `pages` would cost at the bandwidth believed in.
    pub(crate) fn downtime(&self, pages: f64) -> Duration {
        self.with_fixed(time_for(pages, self.bandwidth.pages_per_second()))
    }

    fn with_fixed(&self, time: Duration) -> Duration {
        time.saturating_add(self.fixed_downtime).min(NEVER)
    }

    /// What remains takes so much, for it was looked at.
    pub(crate) fn count(&mut self, bytes: Bytes) {
        self.counted = Some(bytes);
        self.bandwidth.counted(self.remaining, bytes);
    }

    /// The downtime that what remains would cost.
    pub(crate) fn downtime_now(&self) -> Duration {
        match self.counted {
            Some(bytes) => {
                self.with_fixed(time_for(bytes.0 as f64, self.bandwidth.bytes_per_second()))
            }
            None => self.downtime(self.remaining.0 as f64),
        }
    }

    pub(crate) fn public(&self) -> Estimates {
        Estimates {
            bandwidth: ByteRate::new(self.bandwidth.bytes_per_second()),
            dirty_rate: page_rate(self.dirtying.wall()),
            unthrottled_dirty_rate: page_rate(self.dirtying.unthrottled()),
            working_set: whole_pages(self.working_set.pages()),
            expected_downtime: self.downtime(self.pages_at_stop()),
        }
    }
}

/// How long `amount` takes at `rate` a second: nothing for nothing, and otherwise [`NEVER`] where nothing leaves.
pub(crate) fn time_for(amount: f64, rate: f64) -> Duration {
    if amount <= 0.0 {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(amount / rate).unwrap_or(NEVER)
}

/// Pages per second as bytes per second.
pub(crate) fn page_rate(pages_per_second: f64) -> ByteRate {
    ByteRate::new(pages_per_second * crate::units::PAGE_SIZE as f64)
}

/// A count of pages from an estimate of it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and a fraction of a page is noise"
)]
pub(crate) fn whole_pages(pages: f64) -> Pages {
    Pages(pages as u64)
}

#[cfg(test)]
#[path = "estimate_tests.rs"]
mod tests;
