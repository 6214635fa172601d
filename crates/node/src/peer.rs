//! Another node, as this one speaks with it.

use std::fmt;

use landfall_converge::ByteRate;
use serde::{Deserialize, Serialize};

use crate::host::Image;
use crate::model::{CheckItem, MigrationId, MigrationState, NodeFacts, NodeName, VmName, VmSpec};
use crate::ownership::Verdict;

/// A guest that a source wants to give away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// What the machine is made from.
    pub spec: VmSpec,
    /// By which migration.
    pub migration: MigrationId,
    /// From whom.
    pub from: NodeName,
    /// The epoch that the guest has once it has arrived.
    pub epoch: u64,
}

/// What a source knows of a guest, for a target to look at before anything is begun. A node leaves out what it does not know
/// of it, so that later ones may say more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Survey {
    /// The offer as it would be made.
    pub offer: Offer,
    /// The run of the source's kernel, by which the target sees whether both are on one host.
    pub host: String,
    /// The process that runs the guest.
    pub process: Option<u32>,
    /// The guest's images, as they are at the source.
    pub images: Vec<Image>,
    /// What the machine is made from, as it travels, where it is to be tried out.
    #[serde(default)]
    pub configuration: Option<String>,
}

/// A destination that awaits a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Prepared {
    /// Where the guest is to be sent.
    pub uri: String,
}

/// A question about a guest that was offered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Which machine.
    pub vm: VmName,
    /// By which migration.
    pub migration: MigrationId,
    /// From whom.
    pub from: NodeName,
    /// The epoch that the guest has once it has arrived.
    pub epoch: u64,
}

/// Why another node did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It does not answer.
    #[error(
        "node {node} does not answer: {why}; see that its daemon runs and that this node may reach it"
    )]
    Unreachable {
        /// Which.
        node: NodeName,
        /// What was seen.
        why: String,
    },
    /// It takes no more guests at the moment.
    #[error("node {0} takes no more guests at the moment")]
    Busy(NodeName),
    /// It said no.
    #[error("node {node} refused: {why}")]
    Refused {
        /// Which.
        node: NodeName,
        /// In its words.
        why: String,
    },
}

/// Another node. All of it blocks.
pub trait Peer: Send + Sync + fmt::Debug {
    /// Where its API is, for people.
    fn address(&self) -> String;

    /// What it tells of itself.
    ///
    /// # Errors
    /// As all of these: when it does not answer, or refuses.
    fn facts(&self) -> Result<NodeFacts, PeerError>;

    /// What it finds when it looks at an offer.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    fn check(&self, offer: &Offer) -> Result<Vec<CheckItem>, PeerError>;

    /// What it finds when it looks at an offer, at what the guest needs of a host, and at what is there; `None` from a node of
    /// a version that does not look at that.
    ///
    /// # Errors
    /// When it does not answer, or refuses.
    fn survey(&self, survey: &Survey) -> Result<Option<Vec<CheckItem>>, PeerError>;

    /// Prepares it for a guest. Asked again, it answers the same.
    ///
    /// # Errors
    /// When it does not answer, takes no more guests, or refuses.
    fn offer(&self, offer: &Offer) -> Result<Prepared, PeerError>;

    /// What has become there of a guest that was offered.
    ///
    /// # Errors
    /// When it does not answer.
    fn verdict(&self, question: &Question) -> Result<Verdict, PeerError>;

    /// Asks it to never run a guest that was offered; what it says holds for ever. `committed` says whether the source
    /// may have given the guest away already.
    ///
    /// # Errors
    /// When it does not answer.
    fn refuse(&self, question: &Question, committed: bool) -> Result<Verdict, PeerError>;

    /// How far it says that a migration from there has come; `None` for one that it does not know.
    ///
    /// # Errors
    /// When it does not answer.
    fn migration(&self, id: &MigrationId) -> Result<Option<MigrationState>, PeerError>;

    /// What the way to it carries.
    ///
    /// # Errors
    /// When it does not answer.
    fn measure(&self) -> Result<ByteRate, PeerError>;
}
