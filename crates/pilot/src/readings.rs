//! QEMU's statistics as samples for the controller.
//!
//! QEMU counts dirty pages when it reads the dirty log, at the end of a pass; when more than a second has passed since it did
//! so last, it closes a period: it looks whether to throttle, and tells the rate of the period as `dirty-pages-rate`. Only
//! pages that were not waiting to be sent already are in it. All its counters begin anew with each migration.

use std::time::Duration;

use landfall_converge::{Bytes, DirtyWindow, Harvest, PAGE_SIZE, Pages, Sample, Throttle};
use landfall_qmp::{MigrationInfo, RamStats};

/// QEMU closes no period that is shorter.
const LEAST_PERIOD: Duration = Duration::from_secs(1);

/// Follows the counters of one migration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings {
    last: Option<Seen>,
    /// Since a period was closed.
    period: Duration,
    /// The part of it for which the guest ran.
    ran: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Duration,
    transferred: u64,
    pages: u64,
    syncs: u64,
    rate: u64,
    throttle: Throttle,
}

impl Seen {
    fn of(info: &MigrationInfo, ram: &RamStats) -> Option<Self> {
        Some(Self {
            at: Duration::from_millis(info.total_time?),
            transferred: ram.transferred,
            pages: ram.normal.saturating_add(ram.duplicate),
            syncs: ram.dirty_sync_count,
            rate: ram.dirty_pages_rate,
            throttle: throttle(info),
        })
    }
}

/// The throttle that QEMU says is in force.
#[expect(clippy::cast_precision_loss, reason = "a number of per cent")]
pub(crate) fn throttle(info: &MigrationInfo) -> Throttle {
    Throttle::new(info.cpu_throttle_percentage.unwrap_or(0) as f64 / 100.0)
}

/// Pages of 4 KiB in so many of QEMU's, which are the target's.
fn pages(count: u64, ram: &RamStats) -> Pages {
    Pages(count.saturating_mul(page_size(ram)) / PAGE_SIZE)
}

/// Bytes of one of QEMU's pages, which old versions do not tell.
pub(crate) fn page_size(ram: &RamStats) -> u64 {
    if ram.page_size == 0 { PAGE_SIZE } else { ram.page_size }
}

impl Readings {
    /// The guest ran for this part of the time since the answer before: by how it was held then, since QEMU changes the
    /// throttle at the moment at which it closes a period.
    pub(crate) fn held_since(&self, info: &MigrationInfo) -> Option<(Duration, Throttle)> {
        let last = self.last?;
        let now = Duration::from_millis(info.total_time?);
        Some((now.saturating_sub(last.at), last.throttle))
    }

    /// What happened since the answer before; `None` for the first answer, and where nothing can have happened.
    pub(crate) fn observe(&mut self, info: &MigrationInfo) -> Option<Sample> {
        let ram = info.ram.as_ref()?;
        let now = Seen::of(info, ram)?;
        let Some(last) = self.last else {
            self.last = Some(now);
            return None;
        };
        let elapsed = now.at.saturating_sub(last.at);
        if elapsed.is_zero() {
            return None;
        }
        self.last = Some(now);
        self.period += elapsed;
        self.ran += elapsed.mul_f64(last.throttle.run_share());
        let ended_pass = now.syncs != last.syncs;
        // The same rate twice is possible; a sync in a period that is long enough closes it all the same.
        let closed = now.rate != last.rate || ended_pass && self.period > LEAST_PERIOD;
        Some(Sample {
            elapsed,
            pass: u32::try_from(now.syncs).unwrap_or(u32::MAX),
            sent: Bytes(now.transferred.saturating_sub(last.transferred)),
            sent_pages: pages(now.pages.saturating_sub(last.pages), ram),
            remaining: Pages(ram.remaining / PAGE_SIZE),
            fixed_downtime: Duration::ZERO,
            harvest: closed.then(|| self.close(now.rate, ram)),
            ..Sample::default()
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a number of pages, far below 2^53"
    )]
    fn close(&mut self, rate: u64, ram: &RamStats) -> Harvest {
        let (elapsed, guest_ran) = (self.period, self.ran);
        (self.period, self.ran) = (Duration::ZERO, Duration::ZERO);
        let dirtied = pages((rate as f64 * elapsed.as_secs_f64()) as u64, ram);
        Harvest {
            elapsed,
            guest_ran,
            dirtied,
            newly_dirty: dirtied,
            // One reading is all there is of each period: it tells nothing of a pattern.
            window: DirtyWindow { guest_ran: Duration::ZERO, distinct: dirtied },
            ended_pass: true,
            ..Harvest::default()
        }
    }
}

#[cfg(test)]
#[path = "readings_tests.rs"]
mod tests;
