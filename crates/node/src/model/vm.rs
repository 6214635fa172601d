//! A machine, as a node knows it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::migration::MigrationView;
use super::names::NodeName;
use super::settlement::Settlement;
use super::spec::VmSpec;
use crate::ownership::Ownership;
use crate::process::ProcessId;

/// What a node keeps of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmRecord {
    /// What it is made from.
    pub spec: VmSpec,
    /// Who may run it.
    pub ownership: Ownership,
    /// Its process here, the last that is known of.
    pub process: Option<ProcessId>,
    /// The socket of its monitor here.
    pub monitor: PathBuf,
    /// Why it does not run, where something went wrong.
    #[serde(default)]
    pub trouble: Option<String>,
    /// What an operator has decided here, where it was in doubt on its way in.
    #[serde(default)]
    pub settlement: Option<Settlement>,
}

/// What a machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// The guest runs here.
    Running,
    /// It is here and stopped by somebody.
    Paused,
    /// It has no process.
    Stopped,
    /// It is on its way in.
    Incoming,
    /// It was given away.
    Away,
    /// Both sides are paused, and who has it must be decided.
    InDoubt,
    /// Its process does not answer.
    Unreachable,
}

impl VmState {
    /// For programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Incoming => "incoming",
            Self::Away => "away",
            Self::InDoubt => "in_doubt",
            Self::Unreachable => "unreachable",
        }
    }

    /// In a word or two.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Incoming => "incoming",
            Self::Away => "away",
            Self::InDoubt => "in doubt",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A machine as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VmView {
    /// What it is made from.
    pub spec: VmSpec,
    /// The node that tells this.
    pub node: NodeName,
    /// What it is doing there.
    pub state: VmState,
    /// Who may run it.
    pub ownership: Ownership,
    /// How hard it is held back now, 0 to 0.99.
    pub throttle: f64,
    /// The process that runs it there.
    #[schema(nullable)]
    pub pid: Option<u32>,
    /// The socket of its monitor there.
    #[schema(value_type = String)]
    pub monitor: PathBuf,
    /// Why it does not run, where something went wrong.
    #[schema(nullable)]
    pub trouble: Option<String>,
    /// What an operator has decided on that node, where it was in doubt on its way in.
    #[serde(default)]
    #[schema(nullable)]
    pub settlement: Option<Settlement>,
    /// The migration that it is in.
    #[schema(nullable)]
    pub migration: Option<MigrationView>,
}
