//! A node, and what it can take.

use serde::{Deserialize, Serialize};

use super::names::{MigrationId, NodeName, VmName};

/// What a node tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeFacts {
    /// What it is called.
    pub name: NodeName,
    /// The version of Landfall that it runs.
    pub version: String,
    /// Whether it has `/dev/kvm`.
    pub kvm: bool,
    /// The model of its processors.
    pub cpu_model: String,
    /// What its processors can do, by the kernel's names.
    pub cpu_features: Vec<String>,
    /// How many processors it has.
    pub cpus: u32,
    /// Memory that is free for guests.
    pub memory_free_bytes: u64,
    /// All of its memory.
    pub memory_bytes: u64,
    /// Guests that it has.
    pub vms: u32,
    /// Migrations that leave it now.
    pub outgoing: u32,
    /// Migrations that come in now.
    pub incoming: u32,
    /// How many may leave it at a time.
    pub max_outgoing: u32,
    /// How many may come in at a time.
    pub max_incoming: u32,
    /// Whether it is being emptied, and takes none.
    pub draining: bool,
}

/// A node as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NodeView {
    /// What it is called.
    pub name: NodeName,
    /// Where its API is.
    pub address: String,
    /// Whether it is the one that tells this.
    pub is_self: bool,
    /// What it tells of itself; none while it cannot be reached.
    #[schema(nullable)]
    pub facts: Option<NodeFacts>,
    /// Why it cannot be reached, and what to do.
    #[schema(nullable)]
    pub trouble: Option<String>,
    /// How far it is emptied, if it is.
    #[schema(nullable)]
    pub drain: Option<Drain>,
}

/// A node that is being emptied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Drain {
    /// When it was asked for, in milliseconds of Unix time.
    pub began_ms: u64,
    /// Whether nothing more will happen.
    pub finished: bool,
    /// Every machine that was on it.
    pub items: Vec<DrainItem>,
}

/// One machine of a node that is being emptied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DrainItem {
    /// Which.
    pub vm: VmName,
    /// What has become of it.
    pub state: DrainItemState,
    /// Where it went, or was tried last.
    #[schema(nullable)]
    pub target: Option<NodeName>,
    /// By which migration.
    #[schema(nullable)]
    pub migration: Option<MigrationId>,
    /// Why it stayed.
    #[schema(nullable)]
    pub reason: Option<String>,
}

/// What has become of a machine of a node that is being emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrainItemState {
    /// It waits for its turn.
    Waiting,
    /// It is on its way.
    Moving,
    /// It has left.
    Left,
    /// It is still here.
    Stayed,
}

impl DrainItemState {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Moving => "on its way",
            Self::Left => "left",
            Self::Stayed => "stayed",
        }
    }
}

impl Drain {
    /// How many are so.
    #[must_use]
    pub fn count(&self, state: DrainItemState) -> usize {
        self.items.iter().filter(|item| item.state == state).count()
    }
}
