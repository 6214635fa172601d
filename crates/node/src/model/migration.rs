//! A migration, as a node knows it.

use landfall_migrate::report::{Report, TimePoint};
use serde::{Deserialize, Serialize};

use super::names::{MigrationId, NodeName, PolicyName, VmName};
use super::policy::{Settings, SettingsChange};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrationRequest {
    /// Where to.
    pub target: NodeName,
    /// By which policy; the machine's own, or the default, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// What is to be otherwise than the policy says.
    #[serde(default)]
    pub settings: SettingsChange,
}

/// How far a migration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MigrationState {
    /// It waits for its turn.
    Queued,
    /// The target is being prepared.
    Preparing,
    /// The guest is on its way.
    Moving,
    /// It is being found out, or written down, who has the guest.
    Settling,
    /// The guest runs at the target.
    Completed,
    /// It could not arrive within the limits; the guest runs at the source.
    GaveUp,
    /// Cancelled; the guest runs at the source.
    Cancelled,
    /// It failed; the guest runs at the source.
    Failed,
    /// Both sides are paused and one of them cannot be asked; an operator may have to decide.
    InDoubt,
}

impl MigrationState {
    /// Whether nothing more will happen to it by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::GaveUp | Self::Cancelled | Self::Failed)
    }

    /// For programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Moving => "moving",
            Self::Settling => "settling",
            Self::Completed => "completed",
            Self::GaveUp => "gave_up",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "waiting for its turn",
            Self::Preparing => "preparing the target",
            Self::Moving => "moving",
            Self::Settling => "settling who has the guest",
            Self::Completed => "arrived",
            Self::GaveUp => "gave up",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::InDoubt => "in doubt",
        }
    }
}

/// Where a guest on its way is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The destination is being reached.
    #[default]
    Connecting,
    /// Everything is being sent once.
    FirstPass,
    /// What was dirtied meanwhile is being sent again.
    Passes,
    /// The guest is stopped and the last of it is being sent.
    Switchover,
    /// The guest was given away.
    Committed,
}

impl Stage {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Connecting => "reaching the target",
            Self::FirstPass => "first pass",
            Self::Passes => "further passes",
            Self::Switchover => "switching over",
            Self::Committed => "given away",
        }
    }
}

/// A guest on its way, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Progress {
    /// Where it is.
    pub stage: Stage,
    /// Since the guest began to move.
    pub elapsed_ms: f64,
    /// The pass under way, from 1.
    pub pass: u64,
    /// The guest's memory.
    pub memory_bytes: u64,
    /// What remains to be sent.
    pub remaining_bytes: u64,
    /// What has left.
    pub sent_bytes: u64,
    /// What the guest dirties a second now.
    pub dirty_rate_bytes_per_second: f64,
    /// What leaves a second now.
    pub bandwidth_bytes_per_second: f64,
    /// How hard the guest is held back now, 0 to 0.99.
    pub throttle: f64,
    /// `converging`, `needs_throttle`, `stalled` or `cannot_converge`; empty before it is known.
    pub verdict: String,
    /// The same in a sentence, with numbers.
    pub verdict_text: String,
}

/// One point of a migration's time line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Point {
    /// Since the guest began to move.
    pub at_ms: f64,
    /// The pass under way.
    pub pass: u32,
    /// What remains to be sent.
    pub remaining_bytes: u64,
    /// What the guest dirties a second.
    pub dirty_rate_bytes_per_second: f64,
    /// What leaves a second.
    pub bandwidth_bytes_per_second: f64,
    /// How hard the guest is held back, 0 to 0.99.
    pub throttle: f64,
}

impl From<&TimePoint> for Point {
    fn from(point: &TimePoint) -> Self {
        Self {
            at_ms: point.at_ms,
            pass: point.pass,
            remaining_bytes: point.remaining_bytes,
            dirty_rate_bytes_per_second: point.dirty_rate_bytes_per_second,
            bandwidth_bytes_per_second: point.bandwidth_bytes_per_second,
            throttle: point.throttle,
        }
    }
}

impl From<&Point> for TimePoint {
    fn from(point: &Point) -> Self {
        Self {
            at_ms: point.at_ms,
            pass: point.pass,
            remaining_bytes: point.remaining_bytes,
            dirty_rate_bytes_per_second: point.dirty_rate_bytes_per_second,
            bandwidth_bytes_per_second: point.bandwidth_bytes_per_second,
            throttle: point.throttle,
        }
    }
}

impl From<&Progress> for Point {
    fn from(progress: &Progress) -> Self {
        Self {
            at_ms: progress.elapsed_ms,
            pass: u32::try_from(progress.pass).unwrap_or(u32::MAX),
            remaining_bytes: progress.remaining_bytes,
            dirty_rate_bytes_per_second: progress.dirty_rate_bytes_per_second,
            bandwidth_bytes_per_second: progress.bandwidth_bytes_per_second,
            throttle: progress.throttle,
        }
    }
}

/// What a node keeps of a migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Migration {
    /// What it is called.
    pub id: MigrationId,
    /// Of which machine.
    pub vm: VmName,
    /// From where.
    pub source: NodeName,
    /// To where.
    pub target: NodeName,
    /// By which policy.
    pub policy: PolicyName,
    /// What it may do and cost.
    pub settings: Settings,
    /// The epoch that the guest has once it has arrived.
    pub epoch: u64,
    /// How far it has come.
    pub state: MigrationState,
    /// Why it did not arrive; the last sentence says what to do.
    pub reason: Option<String>,
    /// When it was asked for, in milliseconds of Unix time.
    pub requested_ms: u64,
    /// When the guest began to move.
    pub began_ms: Option<u64>,
    /// When it was over.
    pub ended_ms: Option<u64>,
    /// The bill.
    pub report: Option<Report>,
    /// Whether somebody has asked for its end.
    #[serde(default)]
    pub cancel_requested: bool,
}

/// A migration as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MigrationView {
    /// What it is called.
    pub id: MigrationId,
    /// Of which machine.
    pub vm: VmName,
    /// From where.
    pub source: NodeName,
    /// To where.
    pub target: NodeName,
    /// By which policy.
    pub policy: PolicyName,
    /// What it may do and cost.
    pub settings: Settings,
    /// How far it has come.
    pub state: MigrationState,
    /// Why it did not arrive; the last sentence says what to do.
    #[schema(nullable)]
    pub reason: Option<String>,
    /// When it was asked for, in milliseconds of Unix time.
    pub requested_ms: u64,
    /// When the guest began to move.
    #[schema(nullable)]
    pub began_ms: Option<u64>,
    /// When it was over.
    #[schema(nullable)]
    pub ended_ms: Option<u64>,
    /// How it is now, while the guest is on its way.
    #[schema(nullable)]
    pub progress: Option<Progress>,
    /// The bill, once it is over; without what was measured all the while.
    #[schema(nullable, value_type = Option<Object>)]
    pub report: Option<Report>,
}

impl Migration {
    /// As it is shown.
    #[must_use]
    pub fn view(&self, progress: Option<Progress>) -> MigrationView {
        let this = self.clone();
        let bill = |report: Report| Report { timeline: Vec::new(), events: Vec::new(), ..report };
        MigrationView {
            id: this.id,
            vm: this.vm,
            source: this.source,
            target: this.target,
            policy: this.policy,
            settings: this.settings,
            state: this.state,
            reason: this.reason,
            requested_ms: this.requested_ms,
            began_ms: this.began_ms,
            ended_ms: this.ended_ms,
            progress,
            report: this.report.map(bill),
        }
    }
}
