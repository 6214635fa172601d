//! A migration, as a node knows it.

use landfall_migrate::report::Report;
use serde::{Deserialize, Serialize};

use super::names::{MigrationId, NodeName, PolicyName, VmName};
use super::policy::{Settings, SettingsChange};
use super::progress::Progress;
use super::settlement::Settlement;

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
    /// What an operator has decided, where the guest was in doubt.
    #[serde(default)]
    pub settlement: Option<Settlement>,
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
    /// What an operator has decided, where the guest was in doubt.
    #[serde(default)]
    #[schema(nullable)]
    pub settlement: Option<Settlement>,
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
            settlement: this.settlement,
        }
    }
}
