//! Links: how much they carry at a moment.

use std::time::Duration;

use crate::units::ByteRate;

/// How much a link carries over time.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkModel {
    /// Always the same.
    Constant(ByteRate),
    /// One rate after another, each from a moment on; before the first moment as after it.
    Steps(Vec<(Duration, ByteRate)>),
    /// Around a mean, up and down.
    Wave {
        /// The mean.
        mean: ByteRate,
        /// How far it swings, as a share of the mean, 0 to 1.
        swing: f64,
        /// One up and down.
        period: Duration,
    },
    /// Always the same, but for one stretch in which nothing gets through.
    Outage {
        /// What it carries otherwise.
        rate: ByteRate,
        /// When the stretch begins.
        from: Duration,
        /// How long it is.
        lasting: Duration,
    },
}

impl LinkModel {
    /// What it carries at the moment `now` after the migration began.
    #[must_use]
    pub fn rate_at(&self, now: Duration) -> ByteRate {
        match self {
            Self::Constant(rate) => *rate,
            Self::Steps(steps) => {
                let current = steps.iter().take_while(|(from, _)| *from <= now).last();
                current.or(steps.first()).map_or(ByteRate::ZERO, |(_, rate)| *rate)
            }
            Self::Wave { mean, swing, period } => {
                let turn = now.as_secs_f64() / period.as_secs_f64().max(1e-3);
                *mean * (1.0 + swing.clamp(0.0, 1.0) * (turn * std::f64::consts::TAU).sin())
            }
            Self::Outage { rate, from, lasting } => {
                if now >= *from && now < *from + *lasting {
                    ByteRate::ZERO
                } else {
                    *rate
                }
            }
        }
    }
}
