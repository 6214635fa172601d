//! When to stop the guest and finish.

use std::time::Duration;

use crate::outlook::Outlook;

/// Pages that leave in this time are not worth waiting for.
const TRIFLE: f64 = 0.002;
/// A harvest that left less than this share of the one before is a fall worth following.
const FALLING: f64 = 0.9;
/// Seconds until the next reading of the dirty log, or so.
const LOOK: f64 = 0.05;
/// A guest that writes so much of what the link carries takes what remains up and down with it: once past the lowest
/// point, the next one is a round of its working set away, or never comes.
const KEEPS_UP: f64 = 0.8;

/// Looks for a good moment: never one that breaks the promise of downtime, and of those that keep it a local minimum
/// of what remains, as long as waiting for it costs nothing.
#[derive(Clone, Debug)]
pub(crate) struct Switchover {
    fits_since: Option<Duration>,
    lowest: f64,
    risen: u32,
    /// It has been seen to fall since it fits.
    fell: bool,
    /// It fitted once and was waited with, and then fitted no more.
    missed: bool,
    /// The share of the pages that fit which is really used; lowered each time the exact sync did not fit.
    trust: f64,
}

impl Default for Switchover {
    fn default() -> Self {
        Self {
            fits_since: None,
            lowest: f64::INFINITY,
            risen: 0,
            fell: false,
            missed: false,
            trust: 1.0,
        }
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
            || outlook.unaided().is_none()
            || outlook.remaining / outlook.bandwidth <= TRIFLE
            || self.missed && self.may_not_fit_next(outlook)
        {
            return true;
        }
        let Some(since) = self.fits_since else {
            self.fits_since = Some(now);
            self.lowest = outlook.remaining;
            (self.risen, self.fell) = (0, false);
            return false;
        };
        if now.saturating_sub(since) > Duration::from_millis(500) + now / 20 {
            return true;
        }
        if outlook.remaining < self.lowest * FALLING {
            self.lowest = outlook.remaining;
            (self.risen, self.fell) = (0, true);
            return false;
        }
        self.risen += 1;
        self.missed || self.is_as_low_as_it_comes(outlook)
    }

    /// Whether it may have risen too far by the time of the next look.
    fn may_not_fit_next(&self, outlook: &Outlook) -> bool {
        let rise = (outlook.cautious.rate - outlook.bandwidth).max(0.0) * LOOK;
        outlook.remaining + rise > outlook.target * self.trust
    }

    /// Asked when it does not fall: whether waiting any longer gains nothing.
    fn is_as_low_as_it_comes(&self, outlook: &Outlook) -> bool {
        if outlook.cautious.rate < outlook.bandwidth * KEEPS_UP {
            let trifle = outlook.bandwidth * TRIFLE;
            let about_lowest = (self.lowest * 1.1).max(self.lowest + trifle);
            return self.risen >= 2 && outlook.remaining <= about_lowest;
        }
        let half = outlook.hopeful.working_set.unwrap_or(0.0) / 2.0;
        self.fell || self.lowest <= half
    }

    /// The guest was stopped and what remained did not fit: ask for more room next time.
    pub(crate) fn was_abandoned(&mut self) {
        self.fits_since = None;
        self.trust = (self.trust * 0.85).max(0.3);
    }
}

#[cfg(test)]
#[path = "switchover_tests.rs"]
mod tests;
