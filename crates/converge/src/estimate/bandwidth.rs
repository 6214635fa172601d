//! How fast pages leave.

use std::time::Duration;

use crate::sample::Sample;
use crate::units::{Bytes, PAGE_SIZE, Pages};

/// Shorter stretches are put together first: a token bucket or a socket buffer moves in jerks.
const LEAST_STRETCH: f64 = 0.04;
/// Less time than this says nothing of the link, whatever left in it.
const LEAST_BUSY: f64 = 0.001;
/// The link must have been the bottleneck for so long before its bandwidth is called known.
const LEAST_MEASURED: f64 = 0.08;
/// No stretch weighs more than one of this length.
const LONGEST_STRETCH: f64 = 0.15;
/// The time in which a change of the link is believed.
const SMOOTHING: f64 = 0.4;
/// So many pages say what a page costs.
const ENOUGH_PAGES: f64 = 64.0;
/// The time in which it is forgotten that all of what remained was counted to cost more than what had been sent before: several
/// passes over a slow link.
const COUNTED_MEMORY: f64 = 10.0;
/// Nothing leaving for so long means that the link is stalled.
const STALLED_AFTER: Duration = Duration::from_secs(1);

/// Smoothed bandwidth.
///
/// Only a stretch in which the link was the bottleneck says how fast the link is. A stretch of zero pages, or one in
/// which everything was sent and nothing was left to do, says only that the link carries *at least* so much.
#[derive(Clone, Debug)]
pub(crate) struct Bandwidth {
    drained_is_idle: bool,
    /// What a page takes when it is sent again is learned from those that were: it may be much less than a page.
    expects_deltas: bool,
    bytes_per_second: f64,
    deviation: f64,
    bytes_per_page: f64,
    /// What that was when it was counted, as far as it was not forgotten since. Pages that hardly cost anything may be the same ones
    /// over and over, while those that do wait for their turn.
    counted: f64,
    /// How far off that was of late.
    cost_deviation: f64,
    /// The time from which that is known.
    cost_measured: f64,
    measured: f64,
    silent: Duration,
    /// The pass under way when the previous sample was taken.
    pass: u32,
    stretch: Stretch,
    resent: Resent,
}

/// What was sent again since the cost of a page was believed last.
#[derive(Clone, Copy, Debug, Default)]
struct Resent {
    bytes: f64,
    pages: f64,
    seconds: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    seconds: f64,
    bytes: f64,
    pages: f64,
    idle: f64,
    drained: bool,
    /// A part of it lay in the first pass, which alone sends zero pages in bulk.
    in_first_pass: bool,
}

impl Bandwidth {
    pub(crate) fn new(drained_is_idle: bool) -> Self {
        Self {
            drained_is_idle,
            expects_deltas: false,
            bytes_per_second: 0.0,
            deviation: 0.0,
            bytes_per_page: PAGE_SIZE as f64,
            counted: 0.0,
            cost_deviation: 0.0,
            cost_measured: 0.0,
            measured: 0.0,
            silent: Duration::ZERO,
            pass: 0,
            stretch: Stretch::default(),
            resent: Resent::default(),
        }
    }

    /// `drained`: nothing was left to send when the sample was taken, apart from what it found newly dirty.
    pub(crate) fn observe(&mut self, sample: &Sample, drained: bool) {
        if sample.sent.0 > 0 || drained {
            self.silent = Duration::ZERO;
        } else {
            self.silent = self.silent.saturating_add(sample.elapsed);
        }
        self.stretch.seconds += sample.elapsed.as_secs_f64();
        self.stretch.bytes += sample.sent.0 as f64;
        self.stretch.pages += sample.sent_pages.0 as f64;
        self.resent.bytes += sample.resent.0 as f64;
        self.resent.pages += sample.resent_pages.0 as f64;
        self.resent.seconds += sample.elapsed.as_secs_f64();
        self.stretch.idle += sample.idle.as_secs_f64();
        self.stretch.drained |= drained;
        self.stretch.in_first_pass |= self.pass <= 1;
        self.pass = sample.pass;
        if self.is_stalled() {
            // How long an outage lasted says nothing about the link that comes back.
            self.stretch = Stretch::default();
        } else if self.stretch.seconds >= LEAST_STRETCH
            && (self.stretch.bytes > 0.0 || self.stretch.drained)
        {
            let stretch = std::mem::take(&mut self.stretch);
            self.believe(&stretch);
        }
    }

    fn believe(&mut self, stretch: &Stretch) {
        self.counted *= (-stretch.seconds / COUNTED_MEMORY).exp();
        let past_first_pass = !stretch.in_first_pass;
        // Where it is known when there was nothing to do, the rest says how fast the link is.
        let busy = stretch.seconds - stretch.idle;
        let knows_busy = stretch.idle > 0.0 && busy >= LEAST_BUSY && stretch.bytes > 0.0;
        let seconds = if knows_busy { busy } else { stretch.seconds };
        let seen = stretch.bytes / seconds;
        let per_page =
            if stretch.pages > 0.0 { stretch.bytes / stretch.pages } else { f64::INFINITY };
        let mostly_zero_pages = !past_first_pass && per_page < 0.8 * PAGE_SIZE as f64;
        let had_nothing_to_do = self.drained_is_idle && stretch.drained && !knows_busy;
        let link_was_the_bottleneck = !mostly_zero_pages && !had_nothing_to_do;
        // Bounded, so that one pause of the link does not erase what was known before it.
        let weight = 1.0 - (-seconds.min(LONGEST_STRETCH) / SMOOTHING).exp();
        if link_was_the_bottleneck {
            self.measured += seconds;
            // While young, the plain mean: the first stretch must not weigh more than the second.
            let weight = weight.max(seconds / self.measured);
            if self.bytes_per_second > 0.0 {
                let off = (seen - self.bytes_per_second).abs().min(seen);
                self.deviation += weight * (off - self.deviation);
            }
            self.bytes_per_second += weight * (seen - self.bytes_per_second);
        } else if seen > self.bytes_per_second {
            // With a low weight, or the upper edge of the noise would be taken for the mean.
            let weight = if self.bytes_per_second == 0.0 { 1.0 } else { weight / 4.0 };
            self.bytes_per_second += weight * (seen - self.bytes_per_second);
        }
        if self.expects_deltas && self.resent.pages >= ENOUGH_PAGES {
            let resent = std::mem::take(&mut self.resent);
            self.cost_measured += resent.seconds;
            // What was believed of it before anything was sent again is not worth a mean.
            let weight = weight.max(resent.seconds / self.cost_measured);
            self.believe_cost(resent.bytes / resent.pages, weight);
        } else if !self.expects_deltas && past_first_pass && stretch.pages >= ENOUGH_PAGES {
            // Pages that are sent again say what a dirty page costs; in the first pass zero pages would distort it.
            self.believe_cost(per_page, weight);
        }
    }

    fn believe_cost(&mut self, per_page: f64, weight: f64) {
        // Whole pages that were cheap were of zeros, and the next may not be; what has changed in one may well be little.
        let cheapest = if self.expects_deltas { 64.0 } else { 16.0 };
        let bounded = per_page.clamp(PAGE_SIZE as f64 / cheapest, PAGE_SIZE as f64 * 1.25);
        let off = bounded - self.bytes_per_page;
        self.cost_deviation += weight * (off.abs() - self.cost_deviation);
        self.bytes_per_page += weight * off;
    }

    /// Pages that are sent again may go as what has changed in them.
    pub(crate) fn expect_deltas(&mut self) {
        self.expects_deltas = true;
    }

    /// Whether it is known what a page takes that is sent again.
    pub(crate) fn knows_cost(&self) -> bool {
        !self.expects_deltas || self.cost_measured > 0.0
    }

    /// Pages were looked at before they were sent, and take so much.
    pub(crate) fn counted(&mut self, pages: Pages, bytes: Bytes) {
        if pages.0 > 0 {
            self.counted = bytes.0 as f64 / pages.0 as f64;
        }
    }

    /// Wire bytes per second.
    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.bytes_per_second
    }

    /// Dirty pages per second, by what a dirty page costs on the wire.
    pub(crate) fn pages_per_second(&self) -> f64 {
        self.bytes_per_second / self.cost()
    }

    /// What a dirty page costs, in bytes.
    fn cost(&self) -> f64 {
        self.bytes_per_page.max(self.counted)
    }

    /// A cautious view of [`Self::pages_per_second`], for promises of downtime: lower where the link is unsteady, or
    /// pages are of very different cost. Those of zeros, or that hardly differ from the last copy, may all have gone before.
    pub(crate) fn cautious_pages_per_second(&self) -> f64 {
        let dearest = self.cost().max(PAGE_SIZE as f64);
        let cost = (self.cost() + 2.0 * self.cost_deviation).min(dearest);
        self.cautious_bytes_per_second() / cost
    }

    /// The same for what is known in bytes.
    pub(crate) fn cautious_bytes_per_second(&self) -> f64 {
        let share = self.deviation / self.bytes_per_second;
        let caution = if share.is_finite() { share.clamp(0.0, 0.3) } else { 0.0 };
        self.bytes_per_second * (1.0 - caution)
    }

    /// Whether the link was ever seen to be the bottleneck. Otherwise it carries at least what is believed.
    pub(crate) fn is_known(&self) -> bool {
        self.measured >= LEAST_MEASURED
    }

    /// Whether nothing has left for a while although there was something to send.
    pub(crate) fn is_stalled(&self) -> bool {
        self.silent >= STALLED_AFTER
    }

    /// For how long nothing has left.
    pub(crate) fn silent(&self) -> Duration {
        self.silent
    }
}
