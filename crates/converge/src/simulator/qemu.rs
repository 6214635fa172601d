//! What QEMU does with a throttle that it was told to come to.

use std::time::Duration;

use crate::decision::VcpuThrottles;
use crate::sample::Harvest;
use crate::units::{Bytes, Pages};

/// QEMU closes no period that is shorter.
const LEAST_PERIOD: Duration = Duration::from_secs(1);
/// A period in which the guest dirtied less than this share of what was sent moves nothing, while nobody is held.
const OUTRUNS: f64 = 0.5;

/// QEMU's periods, and what it does at the end of every second bad one.
#[derive(Clone, Debug, Default)]
pub(super) struct Lever {
    period: Harvest,
    sent: Bytes,
    bad: u32,
    pending: Option<VcpuThrottles>,
    is_held: bool,
}

impl Lever {
    /// Takes in what left.
    pub(super) fn sent(&mut self, bytes: Bytes) {
        self.sent += bytes;
    }

    /// What QEMU is to come to.
    pub(super) fn aim(&mut self, throttles: VcpuThrottles) {
        self.pending = Some(throttles);
    }

    /// The end of a pass: the period that it closes, if it is long enough, and the throttle that QEMU moves to then.
    pub(super) fn pass_ended(&mut self, pass: Harvest) -> (Option<Harvest>, Option<VcpuThrottles>) {
        let add = |pages: &mut Pages, more: Pages| *pages = Pages(pages.0.saturating_add(more.0));
        self.period.elapsed += pass.elapsed;
        self.period.guest_ran += pass.guest_ran;
        add(&mut self.period.dirtied, pass.newly_dirty);
        add(&mut self.period.newly_dirty, pass.newly_dirty);
        if self.period.elapsed <= LEAST_PERIOD {
            return (None, None);
        }
        let mut closed = std::mem::take(&mut self.period);
        closed.ended_pass = true;
        closed.window.distinct = closed.dirtied;
        let sent = std::mem::take(&mut self.sent);
        let share = if self.is_held { 0.01 } else { OUTRUNS };
        let mut moved = None;
        if closed.newly_dirty.bytes().0 as f64 > sent.0 as f64 * share {
            self.bad += 1;
            if self.bad >= 2 {
                self.bad = 0;
                moved = self.pending.take();
            }
        }
        if let Some(throttles) = &moved {
            self.is_held = *throttles != VcpuThrottles::Released;
        }
        (Some(closed), moved)
    }
}
