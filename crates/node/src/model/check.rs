//! What is known of a migration before it begins.

use serde::{Deserialize, Serialize};

use super::names::{NodeName, VmName};

/// How grave something is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// All is well.
    Ok,
    /// Worth knowing.
    Info,
    /// It may go wrong.
    Warning,
    /// It cannot go well.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CheckItem {
    /// What, for programs: `guest`, `migration`, `target`, `draining`, `version`, `protection`, `cpu`, `memory`, `turn`,
    /// `name`, `policy`, `files`, `disks`, `disk_lock`, `network`, `machine`, `prediction`.
    pub code: String,
    /// How grave it is.
    pub severity: Severity,
    /// What was found, and what to do where it is not well.
    pub message: String,
}

impl CheckItem {
    /// One that was looked at.
    #[must_use]
    pub fn new(code: &str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), severity, message: message.into() }
    }
}

/// What a migration is expected to do and cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Prediction {
    /// What the guest dirties when nothing holds it back.
    pub dirty_rate_bytes_per_second: f64,
    /// The memory that it keeps rewriting.
    pub working_set_bytes: u64,
    /// What the way to the target carried when it was measured just now.
    pub bandwidth_bytes_per_second: f64,
    /// Whether it would arrive with nothing held back.
    pub arrives_unaided: bool,
    /// Whether it would arrive as asked for.
    pub arrives: bool,
    /// How long it would take.
    pub total_ms: f64,
    /// The downtime.
    pub downtime_ms: f64,
    /// The hardest throttle, 0 to 0.99.
    pub max_throttle: f64,
    /// The guest time that would be stolen.
    pub stolen_ms: f64,
    /// All of it in a sentence.
    pub sentence: String,
    /// What remains to be sent, over time: milliseconds and bytes.
    pub remaining: Vec<(f64, u64)>,
    /// The throttle, over time: milliseconds and 0 to 0.99.
    pub throttle: Vec<(f64, f64)>,
}

/// Everything that was looked at before a migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// Of which machine.
    pub vm: VmName,
    /// To where.
    pub target: NodeName,
    /// Whether it may begin: nothing that was found is an error.
    pub allowed: bool,
    /// What was looked at, the gravest first.
    pub items: Vec<CheckItem>,
    /// What it is expected to do; none where it could not be measured.
    #[schema(nullable)]
    pub prediction: Option<Prediction>,
}

impl Check {
    /// What was found, the gravest first.
    #[must_use]
    pub fn new(
        vm: VmName,
        target: NodeName,
        mut items: Vec<CheckItem>,
        prediction: Option<Prediction>,
    ) -> Self {
        items.sort_by_key(|item| std::cmp::Reverse(item.severity));
        let allowed = items.iter().all(|item| item.severity < Severity::Error);
        Self { vm, target, allowed, items, prediction }
    }
}
