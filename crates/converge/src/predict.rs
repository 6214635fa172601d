//! What will happen: the arithmetic of a guest that dirties against a link that carries.
//!
//! All quantities are pages, seconds, and pages per second.

/// In what order a guest rewrites its working set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Any page at any time: the fuller the dirty set, the fewer of the writes hit a clean page.
    Random,
    /// One page after the other: nearly every write hits a page that was just sent.
    Sweep,
}

/// What a guest does to its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Pages written per second of guest run time.
    pub(crate) rate: f64,
    /// The pages among which it writes; `None` when no end of them was seen.
    pub(crate) working_set: Option<f64>,
    /// In what order.
    pub(crate) pattern: Pattern,
}

impl Load {
    /// The same guest, writing `rate` pages per second.
    pub(crate) fn at_rate(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    /// Whether the dirty set can be brought down to `target` at all when the guest runs `share` of the time.
    pub(crate) fn reaches(&self, target: f64, share: f64, bandwidth: f64) -> bool {
        self.floor(share, bandwidth) < target
    }

    /// The dirty pages at which sending and dirtying balance: it does not fall any further.
    pub(crate) fn floor(&self, share: f64, bandwidth: f64) -> f64 {
        let rate = self.rate * share;
        if rate < bandwidth {
            return 0.0;
        }
        match (self.working_set, self.pattern) {
            (None, _) => f64::INFINITY,
            // A page that was sent stays clean until the sweep comes round, half a round on average.
            (Some(set), Pattern::Sweep) => set * (1.0 - bandwidth / (2.0 * rate)),
            (Some(set), Pattern::Random) => set * (1.0 - bandwidth / rate),
        }
    }

    /// How long until `remaining` has come down to `target` when the guest runs `share` of the time.
    pub(crate) fn time_to(
        &self,
        remaining: f64,
        target: f64,
        share: f64,
        bandwidth: f64,
    ) -> Option<f64> {
        if remaining <= target {
            return Some(0.0);
        }
        if bandwidth <= 0.0 || !self.reaches(target, share, bandwidth) {
            return None;
        }
        // What is not in the working set is sent once and stays clean.
        let hot = self.working_set.map_or(remaining, |set| remaining.min(set));
        let cold = (remaining - hot.max(target)) / bandwidth;
        if hot <= target {
            return Some(cold);
        }
        let rate = self.rate * share;
        let falling = match (self.working_set, self.pattern) {
            (Some(set), Pattern::Random) if rate > 0.0 => {
                // dR/dt = rate·(1 − R/set) − bandwidth: towards the balance, exponentially.
                let balance = set * (1.0 - bandwidth / rate);
                set / rate * ((hot - balance) / (target - balance)).ln()
            }
            // Above the link's rate it comes down only as far as its floor, within a round or two.
            (Some(set), Pattern::Sweep) if rate >= bandwidth => 2.0 * set / rate + hot / bandwidth,
            _ => (hot - target) / (bandwidth - rate),
        };
        let time = cold.max(0.0) + falling;
        time.is_finite().then_some(time)
    }

    /// The least share of time that must be taken from the guest for the dirty set to reach `target`; above 1 when
    /// nothing helps, 0 when nothing is needed.
    pub(crate) fn least_throttle(&self, target: f64, bandwidth: f64) -> f64 {
        if self.rate <= 0.0 || self.reaches(target, 1.0, bandwidth) {
            return 0.0;
        }
        let bearable = match (self.working_set, self.pattern) {
            (Some(set), Pattern::Random) => bandwidth / (1.0 - target.max(0.0) / set),
            (Some(set), Pattern::Sweep) => {
                (bandwidth / (2.0 * (1.0 - target.max(0.0) / set))).max(bandwidth)
            }
            (None, _) => bandwidth,
        };
        (1.0 - bearable / self.rate).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
#[path = "predict_tests.rs"]
mod tests;
