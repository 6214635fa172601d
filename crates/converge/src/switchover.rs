//! When to stop the guest and finish.

use std::time::Duration;

use crate::outlook::Outlook;

/// Pages that leave in this time are not worth waiting for.
const TRIFLE: f64 = 0.002;
/// A harvest that left less than this share of the one before is a fall worth following.
const FALLING: f64 = 0.9;

/// Looks for a good moment: never one that breaks the promise of downtime, and of those that keep it a local minimum
/// of what remains, as long as waiting for it costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Switchover {
    fits_since: Option<Duration>,
    lowest: f64,
    risen: u32,
    /// It fitted once and was waited with, and then fitted no more.
    missed: bool,
    /// The share of the pages that fit which is really used; lowered each time the exact sync did not fit.
    trust: f64,
}

impl Default for Switchover {
    fn default() -> Self {
        Self { fits_since: None, lowest: f64::INFINITY, risen: 0, missed: false, trust: 1.0 }
    }
}

impl Switchover {
    /// Whether to stop the guest now. Asked after a reading of the dirty log, when what remains is exact.
    pub(crate) fn is_now(&mut self, outlook: &Outlook, now: Duration, throttled: bool) -> bool {
        if outlook.bandwidth <= 0.0 || outlook.remaining > outlook.target * self.trust {
            self.missed |= self.fits_since.take().is_some();
            return false;
        }
        // Waiting costs a throttled guest its time, and one that does not converge may never come so low again.
        if throttled
            || self.missed
            || outlook.unaided().is_none()
            || outlook.remaining / outlook.bandwidth <= TRIFLE
        {
            return true;
        }
        let Some(since) = self.fits_since else {
            self.fits_since = Some(now);
            self.lowest = outlook.remaining;
            self.risen = 0;
            return false;
        };
        if now.saturating_sub(since) > Duration::from_millis(500) + now / 20 {
            return true;
        }
        if outlook.remaining < self.lowest * FALLING {
            self.lowest = outlook.remaining;
            self.risen = 0;
            return false;
        }
        self.risen += 1;
        self.risen >= 2 && outlook.remaining <= self.lowest * 1.1
    }

    /// The guest was stopped and what remained did not fit: ask for more room next time.
    pub(crate) fn was_abandoned(&mut self) {
        self.fits_since = None;
        self.trust = (self.trust * 0.85).max(0.3);
    }
}
