//! Why a node did not do what was asked.

use crate::machines::MachineError;
use crate::model::{
    Check, MigrationId, NodeName, PolicyName, SettingsError, SpecError, TokenName, VmName,
};
use crate::ownership::Conflict;
use crate::peer::PeerError;
use crate::store::StoreError;

/// Why a node did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is no such machine.
    #[error("there is no machine '{0}' on this node; list them with `landfall vm list`")]
    NoVm(VmName),
    /// There is no such migration.
    #[error("there is no migration '{0}' from this node; list them with `landfall migration list`")]
    NoMigration(MigrationId),
    /// There is no such node.
    #[error(
        "no node '{0}' is known here; list them with `landfall node list`, or name it with --peer"
    )]
    NoNode(NodeName),
    /// There is no such policy.
    #[error("there is no policy '{0}'; list them with `landfall policy list`")]
    NoPolicy(PolicyName),
    /// The policy cannot be changed.
    #[error("the policy '{0}' comes with Landfall and stays as it is; add one of another name")]
    BuiltIn(PolicyName),
    /// There is no such token.
    #[error("there is no token '{0}'; list them with `landfall node token list`")]
    NoToken(TokenName),
    /// The name is given away.
    #[error("there is a token '{0}' already; remove it first, or give the new one another name")]
    TokenIsThere(TokenName),
    /// No token can be drawn.
    #[error("the system gives no random numbers")]
    Random(#[source] std::io::Error),
    /// What was asked for is out of range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What was described is no machine.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// It cannot be done now.
    #[error("{0}")]
    Busy(String),
    /// The check beforehand says no.
    #[error("refused by the check beforehand: {}", first_error(.0))]
    Refused(Box<Check>),
    /// Something else was decided about the guest before.
    #[error(transparent)]
    Conflict(Conflict),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// A machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// Another node.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// An idempotency key was used for something else.
    #[error(
        "this idempotency key was used for another request, which has begun {0}; use a new key for each request"
    )]
    Key(MigrationId),
    /// A test has ended the daemon here.
    #[cfg(test)]
    #[error("the daemon was ended")]
    Killed,
}

impl From<StoreError> for NodeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(conflict) => Self::Conflict(conflict),
            StoreError::NoVm(name) => Self::NoVm(name),
            error => Self::Store(error),
        }
    }
}

fn first_error(check: &Check) -> &str {
    check.items.first().map_or("", |item| &item.message)
}
