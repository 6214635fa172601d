//! Policies: what a migration may cost, under a name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::PolicyName;

/// What happens at the end of the time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLimit {
    /// Give up; the guest goes on at the source.
    #[default]
    Abort,
    /// Switch over whatever the downtime.
    Switchover,
}

/// What a migration may do and cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the guest is throttled where it would not arrive otherwise.
    pub auto_converge: bool,
    /// The hardest throttle, in per cent of a vCPU's time.
    #[schema(minimum = 1, maximum = 99)]
    pub max_throttle_percent: u8,
    /// The longest downtime.
    #[schema(minimum = 1, maximum = 2_000_000)]
    pub max_downtime_ms: u64,
    /// The longest migration; none if `null`.
    #[schema(minimum = 1, maximum = 4_294_967_295_u64)]
    pub time_limit_ms: Option<u64>,
    /// What happens at the end of it.
    pub on_limit: OnLimit,
    /// The most that may leave a second; the node's share if `null`.
    #[schema(minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub bandwidth_bytes_per_second: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_converge: true,
            max_throttle_percent: 99,
            max_downtime_ms: 300,
            time_limit_ms: Some(minutes(15)),
            on_limit: OnLimit::Abort,
            bandwidth_bytes_per_second: None,
        }
    }
}

const fn minutes(minutes: u64) -> u64 {
    minutes * 60_000
}

/// Why settings are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The throttle.
    #[error(
        "the hardest throttle is 1 to 99 per cent; to never throttle, switch auto-converge off"
    )]
    Throttle,
    /// The downtime.
    #[error("the longest downtime is 1 ms to 2000 s")]
    Downtime,
    /// The time limit.
    #[error("the time limit is at least 1 ms, and below 49 days; leave it out for none")]
    TimeLimit,
    /// The bandwidth.
    #[error("the bandwidth is 1 B/s to 1 TB/s; leave it out for the node's share")]
    Bandwidth,
}

impl Settings {
    /// Whether they can be kept.
    ///
    /// # Errors
    /// When one of them is out of its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(1..=99).contains(&self.max_throttle_percent) {
            return Err(SettingsError::Throttle);
        }
        if !(1..=2_000_000).contains(&self.max_downtime_ms) {
            return Err(SettingsError::Downtime);
        }
        if self.time_limit_ms.is_some_and(|ms| !(1..=0xffff_ffff).contains(&ms)) {
            return Err(SettingsError::TimeLimit);
        }
        let rates = 1..=1_000_000_000_000;
        if self.bandwidth_bytes_per_second.is_some_and(|rate| !rates.contains(&rate)) {
            return Err(SettingsError::Bandwidth);
        }
        Ok(())
    }

    /// The longest downtime.
    #[must_use]
    pub fn max_downtime(&self) -> Duration {
        Duration::from_millis(self.max_downtime_ms)
    }

    /// The longest migration.
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        self.time_limit_ms.map(Duration::from_millis)
    }

    /// These with what `changes` says instead.
    #[must_use]
    pub fn with(self, changes: &SettingsChange) -> Self {
        Self {
            auto_converge: changes.auto_converge.unwrap_or(self.auto_converge),
            max_throttle_percent: changes.max_throttle_percent.unwrap_or(self.max_throttle_percent),
            max_downtime_ms: changes.max_downtime_ms.unwrap_or(self.max_downtime_ms),
            time_limit_ms: changes.time_limit_ms.map_or(self.time_limit_ms, nonzero),
            on_limit: changes.on_limit.unwrap_or(self.on_limit),
            bandwidth_bytes_per_second: changes
                .bandwidth_bytes_per_second
                .map_or(self.bandwidth_bytes_per_second, nonzero),
        }
    }
}

/// Zero is how a change says that there is to be no limit.
fn nonzero(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}

/// A change of settings; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsChange {
    /// Whether the guest is throttled where it would not arrive otherwise. Not while a migration runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_converge: Option<bool>,
    /// The hardest throttle, in per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_throttle_percent: Option<u8>,
    /// The longest downtime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_downtime_ms: Option<u64>,
    /// The longest migration; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
    /// What happens at the end of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<OnLimit>,
    /// The most that may leave a second; 0 for the node's share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth_bytes_per_second: Option<u64>,
}

/// Settings under a name, with a sentence that an operator understands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is called.
    pub name: PolicyName,
    /// What it means for the guest, in one sentence.
    pub sentence: String,
    /// What it sets.
    #[serde(default)]
    pub settings: Settings,
}

/// The name of the policy that holds where none is named.
pub const DEFAULT_POLICY: &str = "balanced";

impl Policy {
    /// The policies that every node has.
    ///
    /// # Panics
    /// Never: the names are constant and are names.
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        let policy = |name: &str, sentence: &str, settings| {
            let name = name.parse().expect("a constant name");
            Self { name, sentence: sentence.to_owned(), settings }
        };
        let usual = Settings::default();
        vec![
            policy(
                "gentle",
                "The guest keeps at least half of its speed; if it cannot arrive so within 30 minutes, it stays where it is.",
                Settings { max_throttle_percent: 50, time_limit_ms: Some(minutes(30)), ..usual },
            ),
            policy(
                DEFAULT_POLICY,
                "The guest is slowed down only where it would not arrive otherwise, as hard as needed and as briefly as possible; after 15 minutes it stays where it is.",
                usual,
            ),
            policy(
                "swift",
                "To leave quickly: as balanced, but a second of downtime is allowed, and after 5 minutes it stays where it is.",
                Settings { max_downtime_ms: 1000, time_limit_ms: Some(minutes(5)), ..usual },
            ),
            policy(
                "suspend-if-needed",
                "It leaves in any case: after 5 minutes the guest is stopped and the rest is sent, however long that takes.",
                Settings {
                    time_limit_ms: Some(minutes(5)),
                    on_limit: OnLimit::Switchover,
                    ..usual
                },
            ),
        ]
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
