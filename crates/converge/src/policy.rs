//! The rules by which a controller throttles, one module each.

mod adaptive;
mod bursts;
mod classic;
mod plan;
mod steered;
mod stepped;

use crate::decision::VcpuThrottles;
use crate::limits::{Limits, Policy};
use crate::sample::Sample;
use crate::units::{Bytes, Throttle};

pub(crate) use adaptive::{Adaptive, Situation};
pub(crate) use classic::Classic;
pub(crate) use steered::Steered;
pub(crate) use stepped::Stepped;
pub use stepped::SteppedParameters;

/// A change of the throttle and why.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) throttles: VcpuThrottles,
    pub(crate) reason: String,
}

/// The rule in force. [`Policy::Off`] has none: it only watches.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Off,
    Classic(Classic),
    Stepped(Stepped),
    Adaptive(Adaptive),
    /// Landfall's own, by way of QEMU's throttle.
    Steered(Steered),
}

impl Rule {
    pub(crate) fn new(policy: Policy) -> Self {
        match policy {
            Policy::Off => Self::Off,
            Policy::Classic => Self::Classic(Classic::default()),
            Policy::Stepped => Self::Stepped(Stepped::new(SteppedParameters::default())),
            Policy::Adaptive => Self::Adaptive(Adaptive::default()),
        }
    }

    /// The hardest throttle that this rule can come to.
    pub(crate) fn hardest(&self, limits: &Limits) -> Throttle {
        match self {
            Self::Off | Self::Adaptive(_) => limits.hardest_throttle(),
            Self::Classic(_) => classic::duty().throttle(),
            Self::Stepped(stepped) => stepped.parameters().max,
            Self::Steered(_) => limits.max_throttle,
        }
    }

    /// Whether the migration switches over as QEMU does: at the end of a pass, by the pages alone, and without
    /// looking again once the guest stands still.
    pub(crate) fn switches_over_as_qemu(&self) -> bool {
        matches!(self, Self::Classic(_) | Self::Stepped(_) | Self::Steered(_))
    }
}

/// QEMU's accounting of periods, which both of its rules stand on.
///
/// A period ends with the first pass that ends more than a second after the previous period did. The first pass is a
/// period like any other, but nothing is looked at before it ends.
#[derive(Clone, Debug, Default)]
struct Periods {
    elapsed: std::time::Duration,
    sent: Bytes,
    newly_dirty: Bytes,
}

/// One finished period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Period {
    sent: Bytes,
    newly_dirty: Bytes,
}

impl Periods {
    /// Takes in a sample; gives the period that it ended.
    fn account(&mut self, sample: &Sample) -> Option<Period> {
        self.elapsed = self.elapsed.saturating_add(sample.elapsed);
        self.sent = Bytes(self.sent.0.saturating_add(sample.sent.0));
        let harvest = sample.harvest.as_ref()?;
        self.newly_dirty = Bytes(self.newly_dirty.0.saturating_add(harvest.newly_dirty.bytes().0));
        if !harvest.ended_pass {
            return None;
        }
        if self.elapsed <= std::time::Duration::from_secs(1) {
            return None;
        }
        let ended = std::mem::take(self);
        Some(Period { sent: ended.sent, newly_dirty: ended.newly_dirty })
    }
}
