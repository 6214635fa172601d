//! What the operator allows.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duty::LEAST_RUN;
use crate::units::Throttle;

/// What a migration may cost, and what happens when that is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The longest downtime; 300 ms by default.
    pub max_downtime: Duration,
    /// The hardest throttle; 0.99 by default.
    pub max_throttle: Throttle,
    /// The longest single stall of a vCPU; 10 ms by default. Policies that imitate QEMU do not keep it.
    pub max_stall: Duration,
    /// The longest migration; `None` for no limit.
    pub time_limit: Option<Duration>,
    /// What happens when `time_limit` has passed.
    pub on_limit: OnLimit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_downtime: Duration::from_millis(300),
            max_throttle: Throttle::MAX,
            max_stall: Duration::from_millis(10),
            time_limit: None,
            on_limit: OnLimit::Abort,
        }
    }
}

impl Limits {
    /// The hardest throttle that keeps both limits, on throttle and stall: between two stalls a vCPU runs for
    /// [`LEAST_RUN`] at least.
    #[must_use]
    pub fn hardest_throttle(&self) -> Throttle {
        let period = (self.max_stall + LEAST_RUN).as_secs_f64();
        self.max_throttle.min(Throttle::new(self.max_stall.as_secs_f64() / period))
    }
}

/// What happens when the time limit has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLimit {
    /// Give up; the guest goes on at the source.
    #[default]
    Abort,
    /// Switch over whatever the downtime.
    Switchover,
}

/// How a controller decides, by the name that operators choose it with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// Never throttles; still gives verdicts.
    Off,
    /// QEMU 1.6's rule of 2013: 30 ms of sleep in every 40 ms once six periods were bad.
    Classic,
    /// QEMU's rule since 2.5: 20 %, then 10 more after every two bad periods, up to 99 %.
    Stepped,
    /// Landfall's own: measure, predict, throttle exactly as much as is needed.
    #[default]
    Adaptive,
}

/// When a policy wants the dirty log to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Every so often, whatever the pass is doing.
    Timer(Duration),
    /// Only at the end of a pass, as QEMU does.
    PassEnd,
}

impl Policy {
    /// Every policy, in the order in which they are best shown beside each other.
    pub const ALL: [Self; 4] = [Self::Off, Self::Classic, Self::Stepped, Self::Adaptive];

    /// The name by which the policy is chosen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Classic => "classic",
            Self::Stepped => "stepped",
            Self::Adaptive => "adaptive",
        }
    }

    /// When this policy wants the dirty log to be read.
    #[must_use]
    pub fn sampling(self) -> Sampling {
        match self {
            Self::Off | Self::Adaptive => Sampling::Timer(Duration::from_millis(50)),
            Self::Classic | Self::Stepped => Sampling::PassEnd,
        }
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| {
            format!("'{text}' is no policy; choose off, classic, stepped or adaptive")
        })
    }
}
