//! Guests that come in bursts: how long their calm lasts, and what they do when they come back.

use std::time::Duration;

use crate::policy::adaptive::Situation;

/// A guest that came back so long ago may have changed its ways.
const REMEMBERED: Duration = Duration::from_secs(20);
/// A calm that is shorter is chance.
const LEAST_CALM: Duration = Duration::from_millis(100);
/// For how long the highest rate seen counts, when the guest does not come in bursts.
const PEAK_COUNTS: Duration = Duration::from_secs(2);

/// When the guest was calm after it had been busy: when it would have arrived unaided at the rate of the latest reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spells {
    calm_since: Option<Duration>,
    /// It was seen to be busy before: a calm that was there from the beginning tells of no return.
    was_busy: bool,
    /// How long the last calm between two bursts was, and when it ended.
    last: Option<(Duration, Duration)>,
}

impl Spells {
    /// Looks at the latest reading of the dirty log.
    pub(crate) fn observe(&mut self, at: &Situation<'_>) {
        let latest = at.outlook.cautious.at_rate(at.estimator.dirtying.latest());
        if at.outlook.bearable(&latest).is_some() {
            if self.was_busy {
                self.calm_since.get_or_insert(at.now);
            }
            return;
        }
        self.was_busy = true;
        let Some(since) = self.calm_since.take() else { return };
        let calm = at.now.saturating_sub(since);
        if calm >= LEAST_CALM {
            self.last = Some((calm, at.now));
        }
    }

    /// How long the guest was calm before it came back; `None` when it did not, or long ago.
    pub(crate) fn last_calm(&self, now: Duration) -> Option<Duration> {
        self.last
            .filter(|(calm, ended)| now.saturating_sub(*ended) < REMEMBERED.saturating_add(*calm))
            .map(|(calm, _)| calm)
    }

    /// How long it has been calm now.
    pub(crate) fn calm_so_far(&self, now: Duration) -> Duration {
        self.calm_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}

/// The highest rate of dirtying while the guest is held back, in pages per second of run time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peak {
    pub(crate) rate: f64,
    /// The highest of each vCPU; empty where they cannot be told apart.
    pub(crate) by_vcpu: Vec<f64>,
    seen_at: Duration,
}

impl Peak {
    /// The rate as it is now.
    pub(crate) fn of(at: &Situation<'_>) -> Self {
        let dirtying = &at.estimator.dirtying;
        Self { rate: dirtying.unthrottled(), by_vcpu: dirtying.by_vcpu(), seen_at: at.now }
    }

    /// Takes the present rate in. A guest that was calm for `last_calm` and came back may do so again.
    pub(crate) fn observe(&mut self, at: &Situation<'_>, last_calm: Option<Duration>) {
        let present = Self::of(at);
        let counts = PEAK_COUNTS.saturating_add(last_calm.unwrap_or_default().saturating_mul(2));
        let told_apart = present.by_vcpu.len() == self.by_vcpu.len();
        if present.rate >= self.rate || at.now.saturating_sub(self.seen_at) > counts || !told_apart
        {
            *self = present;
            return;
        }
        // Another vCPU may have begun to write.
        for (peak, rate) in self.by_vcpu.iter_mut().zip(present.by_vcpu) {
            *peak = peak.max(rate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calm_of_any_length_is_remembered_without_an_overflow() {
        let ages = Duration::MAX - Duration::from_secs(1);
        let spells = Spells { last: Some((ages, ages)), ..Spells::default() };
        assert_eq!(spells.last_calm(Duration::MAX), Some(ages));
    }
}
