//! What the estimates say about the rest of the migration.

use std::time::Duration;

use crate::controller::GuestShape;
use crate::estimate::Estimator;
use crate::limits::Limits;
use crate::predict::{Load, Pattern};

/// What a switchover must leave unused of the downtime allowed when it is decided, since the link may be slower then.
const MARGIN: f64 = 0.95;

/// The prospects at one moment, in pages and seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outlook {
    /// Pages that would be left if the guest were stopped now.
    pub(crate) remaining: f64,
    /// Pages that may remain when the guest is to be stopped as it runs now: what it dirties until it stands still
    /// comes on top of them, and must fit into the downtime as well.
    pub(crate) target: f64,
    /// Pages that fit into the downtime.
    pub(crate) fits: f64,
    /// Time between the last reading of the dirty log and the last vCPU's stop, in seconds.
    pub(crate) lag: f64,
    /// Pages per second that leave.
    pub(crate) bandwidth: f64,
    /// The guest, taken to sweep where its pattern is unknown.
    pub(crate) cautious: Load,
    /// The guest, taken to write at random where its pattern is unknown: the pattern that converges more easily.
    pub(crate) hopeful: Load,
    /// How long an unaided migration may take before throttling is the better choice.
    pub(crate) patience: f64,
}

impl Outlook {
    pub(crate) fn new(
        estimator: &Estimator,
        limits: &Limits,
        guest: GuestShape,
        now: Duration,
    ) -> Self {
        let bandwidth = estimator.bandwidth.pages_per_second();
        let for_pages =
            limits.max_downtime.as_secs_f64() * MARGIN - estimator.fixed_downtime.as_secs_f64();
        let remaining = estimator.pages_at_stop();
        let late = remaining - estimator.remaining.0 as f64;
        let fits = for_pages.max(0.0) * estimator.bandwidth.cautious_pages_per_second();
        let once = guest.memory.0 as f64 / bandwidth.max(1.0);
        let left = limits
            .time_limit
            .map_or(f64::INFINITY, |limit| limit.saturating_sub(now).as_secs_f64() * 0.7);
        Self {
            remaining: estimator.remaining.0 as f64,
            target: (fits - late).max(0.0),
            fits,
            lag: estimator.lag().as_secs_f64(),
            bandwidth,
            cautious: estimator.load(Pattern::Sweep),
            hopeful: estimator.load(Pattern::Random),
            patience: (10.0 + 3.0 * once).min(left),
        }
    }

    /// The same for a guest that dirties `rate` pages a second of run time, or more.
    pub(crate) fn no_slower_than(&self, rate: f64) -> Self {
        let faster = |load: Load| load.at_rate(load.rate.max(rate));
        Self { cautious: faster(self.cautious), hopeful: faster(self.hopeful), ..*self }
    }

    /// How long it takes until the guest `load` can be stopped, when it runs `share` of the time.
    pub(crate) fn time_to_stop(&self, load: &Load, share: f64) -> Option<f64> {
        // Held back, it dirties less also while it is being stopped.
        let late = load.rate * share * self.lag;
        let late = load.working_set.map_or(late, |set| late.min(set));
        load.time_to(self.remaining, (self.fits - late).max(0.0), share, self.bandwidth)
    }

    /// How long it takes unaided, when that is certain whatever the guest's pattern, and bearable.
    pub(crate) fn unaided(&self) -> Option<f64> {
        self.bearable(&self.cautious)
    }

    /// How long it takes unaided, when the guest's pattern is kind.
    pub(crate) fn unaided_at_best(&self) -> Option<f64> {
        self.bearable(&self.hopeful)
    }

    /// How long it takes the guest `load` unaided, when that is bearable.
    pub(crate) fn bearable(&self, load: &Load) -> Option<f64> {
        load.time_to(self.remaining, self.target, 1.0, self.bandwidth)
            .filter(|time| *time <= self.patience)
    }

    /// Whether it would arrive unaided from wherever it stands: not because a throttle brought it here.
    pub(crate) fn holds_unaided(&self) -> bool {
        self.cautious.reaches(self.target, 1.0, self.bandwidth)
    }

    /// The least throttle that works whatever the guest's pattern.
    pub(crate) fn needed(&self) -> f64 {
        self.cautious.least_throttle(self.target, self.bandwidth)
    }

    /// The least throttle that can work, if the guest's pattern is kind.
    pub(crate) fn needed_at_best(&self) -> f64 {
        self.hopeful.least_throttle(self.target, self.bandwidth)
    }
}
