//! What is asked of a node's daemon: its machines, migrations, policies, and other nodes.

mod asking;
pub(crate) mod drain;
mod follow;
mod listing;
mod migrate;
pub(crate) mod migration;
pub(crate) mod nodes;
pub(crate) mod policy;
pub(crate) mod settings;
mod stop;
pub(crate) mod token;
pub(crate) mod via;
pub(crate) mod vm;

pub(crate) use migrate::{check_host as check, migrate};

use std::io;
use std::path::PathBuf;

use landfall_node::client::ClientError;
use landfall_node::model::{MigrationId, PolicyName, VmName};

use crate::exit::Exit;

/// Why a node was not asked, or did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HostError {
    #[error("no node of yours runs on this machine")]
    None,
    #[error("several nodes of yours run on this machine: {0}")]
    Several(String),
    #[error("no node '{name}' of yours runs on this machine{}", there_is(.known))]
    Unknown { name: String, known: String },
    #[error("the token that opens the node at {0} is not known")]
    NoToken(String),
    #[error("the authority of the node at {0} is not known")]
    NoAuthority(String),
    #[error("the token in {path} cannot be read")]
    Token { path: PathBuf, source: io::Error },
    #[error("it cannot be seen which nodes run here")]
    Present(#[source] io::Error),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{path} cannot be read")]
    Spec { path: PathBuf, source: io::Error },
    #[error("{path} describes no machine: {why}")]
    NoSpec { path: PathBuf, why: String },
    #[error("'{0}' is not the name of a machine: {1}")]
    NoName(String, String),
    #[error("there is no policy '{0}'; list them with `landfall policy list`")]
    NoPolicy(PolicyName),
    #[error("the migration {0} is not over")]
    NotOver(MigrationId),
    #[error("the guest of '{0}' was asked to end, and has not within {1}")]
    Runs(VmName, String),
    #[error("left while the migration {0} goes on")]
    Left(MigrationId),
}

fn there_is(names: &str) -> String {
    if names.is_empty() { String::new() } else { format!("; there is {names}") }
}

impl HostError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Refused { check: Some(_), .. }) => Exit::Refused,
            _ => Exit::Error,
        }
    }

    /// What to do, where the text does not say it.
    pub(crate) fn advice(&self) -> Option<String> {
        let text = match self {
            Self::None => {
                "start one with `landfall node`, or name another's with --node URL and --token-file FILE"
            }
            Self::Several(_) => "say which with --node NAME",
            Self::Unknown { .. } => {
                "name one of these, or one elsewhere with --node URL and --token-file FILE"
            }
            Self::NoToken(_) => {
                "name the file that holds it with --token-file; it is `token` in the node's folder"
            }
            Self::NoAuthority(_) => {
                "name the file with its certificate with --ca; it is ca.pem in the folder of the node's identity"
            }
            Self::Token { .. } | Self::Spec { .. } => "check the path and its rights",
            Self::Present(_) => "name the node with --node URL and --token-file FILE",
            Self::Client(ClientError::Unreachable { .. }) => {
                "see that its daemon runs, or name another with --node"
            }
            Self::NotOver(id) => {
                return Some(format!("wait for its end with `landfall migration watch {id}`"));
            }
            Self::Runs(name, _) => {
                return Some(format!(
                    "see in the guest what keeps it, wait longer with --timeout, or end it as if its power were cut: `landfall vm \
                     stop {name} --force`"
                ));
            }
            Self::Left(id) => {
                return Some(format!("see how it ends with `landfall migration watch {id}`"));
            }
            Self::NoSpec { .. } => {
                "a machine is described like this, in TOML: name = \"web1\" and, on a line of its own, native = { memory = \
                 \"512MiB\", probe = { workload = \"sweep\" } }; all that may be in it is at /api/v1/openapi.json, as \
                 VmSpec"
            }
            Self::NoName(..) => {
                "a machine that is named by its socket is moved to tcp:, tls: or unix:, one that is named by its name to a node"
            }
            Self::Client(_) | Self::NoPolicy(_) => return None,
        };
        Some(text.to_owned())
    }
}
