//! How a node is spoken with: over TLS, or in the open on one machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use landfall_identity::{CA_FILE, Identity};
use rustls::ServerConfig;

use super::DaemonError;
use crate::http_peer::KnownBy;
use crate::model::NodeName;
use crate::presence;
use crate::secret::kept;

/// How a node is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doors {
    /// Over TLS, by the identity in this folder: nodes show each other their certificates.
    Identity(PathBuf),
    /// In the open, on this machine alone.
    Plain,
}

/// What is needed to be spoken with so.
#[derive(Debug)]
pub(super) struct Opened {
    /// What this node shows to others.
    pub(super) known_by: KnownBy,
    /// The folder of the identity.
    pub(super) identity: Option<PathBuf>,
    /// What the API is served with.
    pub(super) server: Option<Arc<ServerConfig>>,
}

impl Doors {
    /// Opens them for the node `name`, which listens at `listen`.
    pub(super) fn open(&self, name: &NodeName, listen: SocketAddr) -> Result<Opened, DaemonError> {
        match self {
            Self::Plain if !listen.ip().is_loopback() => Err(DaemonError::NotLoopback),
            Self::Plain => {
                let key = presence::folder().and_then(|folder| kept(&folder.join("peer-key")))?;
                Ok(Opened { known_by: KnownBy::Key(key), identity: None, server: None })
            }
            Self::Identity(directory) => certified(directory, name),
        }
    }
}

fn certified(directory: &Path, name: &NodeName) -> Result<Opened, DaemonError> {
    let identity = Identity::load(directory)?;
    let names = &identity.certificate().names;
    if !names.iter().any(|own| own == name.as_str()) {
        let (directory, names) = (directory.to_owned(), names.join(", "));
        return Err(DaemonError::NotNamed { directory, names, name: name.clone() });
    }
    // Machines outlive this process, and the folder in which it happened to be started.
    let directory = directory.canonicalize()?;
    let server = identity.open_server_config().map_err(std::io::Error::other)?;
    let known_by = KnownBy::Certificate(Box::new(identity));
    Ok(Opened { known_by, identity: Some(directory), server: Some(server) })
}

impl Opened {
    /// How addresses begin at which this node and those are that it speaks with.
    pub(super) fn scheme(&self) -> &'static str {
        if self.identity.is_some() { "https://" } else { "http://" }
    }

    /// The secret by which nodes know each other that speak in the open.
    pub(super) fn key(&self) -> Option<String> {
        match &self.known_by {
            KnownBy::Key(key) => Some(key.clone()),
            KnownBy::Certificate(_) => None,
        }
    }

    /// The certificate of the authority by which this node is known.
    pub(super) fn authority(&self) -> Option<PathBuf> {
        self.identity.as_ref().map(|directory| directory.join(CA_FILE))
    }
}
