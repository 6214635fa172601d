//! What should happen now.

use std::fmt;
use std::time::Duration;

use crate::duty::DutyCycle;
use crate::units::Throttle;

/// What a migration should do until the next sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Go on as it is.
    KeepOn,
    /// Hold vCPUs back from now on; replaces every throttle set before, also by releasing.
    Throttle(VcpuThrottles),
    /// Stop the guest and finish: what remains fits into the downtime.
    SwitchOver,
    /// Stop trying; the guest goes on at the source, unthrottled.
    GiveUp(GiveUpReason),
}

/// The throttle of every vCPU.
#[derive(Clone, Debug, PartialEq)]
pub enum VcpuThrottles {
    /// No vCPU is held back.
    Released,
    /// Every vCPU keeps the same duty cycle.
    Uniform(DutyCycle),
    /// One entry a vCPU; `None` is free.
    PerVcpu(Vec<Option<DutyCycle>>),
}

impl VcpuThrottles {
    /// The duty cycle of vCPU `index`; `None` when it is free.
    #[must_use]
    pub fn of(&self, index: usize) -> Option<DutyCycle> {
        match self {
            Self::Released => None,
            Self::Uniform(duty) => Some(*duty),
            Self::PerVcpu(duties) => duties.get(index).copied().flatten(),
        }
    }

    /// The hardest throttle of any vCPU.
    #[must_use]
    pub fn hardest(&self) -> Throttle {
        match self {
            Self::Released => Throttle::NONE,
            Self::Uniform(duty) => duty.throttle(),
            Self::PerVcpu(duties) => {
                duties.iter().flatten().map(DutyCycle::throttle).fold(Throttle::NONE, Throttle::max)
            }
        }
    }
}

/// Why a migration should not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUpReason {
    /// The time limit has passed.
    TimeLimit {
        /// The limit that was set.
        limit: Duration,
    },
}

impl fmt::Display for GiveUpReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeLimit { limit } => {
                write!(f, "the time limit of {:.1} s has passed", limit.as_secs_f64())
            }
        }
    }
}
