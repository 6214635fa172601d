//! `landfall.toml`: what a node is told when it starts, written down.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use landfall_converge::ByteRate;
use landfall_node::model::NodeName;
use serde::Deserialize;

use super::peer;

/// What is in the file. Each may be said by a flag as well, and then the flag counts.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) name: Option<NodeName>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) data: Option<PathBuf>,
    pub(super) peers: Vec<(NodeName, String)>,
    pub(super) identity: Option<PathBuf>,
    pub(super) insecure: bool,
    pub(super) reached_at: Option<String>,
    pub(super) max_outgoing: Option<u32>,
    pub(super) max_incoming: Option<u32>,
    pub(super) bandwidth: Option<ByteRate>,
    pub(super) allow: Vec<PathBuf>,
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    name: Option<NodeName>,
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    #[serde(default)]
    peers: BTreeMap<String, String>,
    identity: Option<PathBuf>,
    #[serde(default)]
    insecure: bool,
    reached_at: Option<String>,
    max_outgoing: Option<u32>,
    max_incoming: Option<u32>,
    bandwidth: Option<String>,
    #[serde(default)]
    allow: Vec<PathBuf>,
}

/// Why nothing can be learned from it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    #[error("{0} does not say how a node is to run: {1}")]
    Wrong(PathBuf, String),
}

/// Reads the file at `path`. Folders in it are meant from where it lies.
pub(super) fn read(path: &Path) -> Result<Written, FileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| FileError::Unreadable(path.to_owned(), error))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    understood(&text, folder).map_err(|why| FileError::Wrong(path.to_owned(), why))
}

fn understood(text: &str, folder: &Path) -> Result<Written, String> {
    let keys: Keys = toml::from_str(text).map_err(|error| error.to_string())?;
    if keys.insecure && keys.identity.is_some() {
        return Err("either 'identity' or 'insecure', not both".to_owned());
    }
    let peers = keys.peers.iter().map(|(name, url)| peer(&format!("{name}={url}")));
    let bandwidth = keys.bandwidth.map(|rate| rate.parse::<ByteRate>()).transpose();
    Ok(Written {
        name: keys.name,
        listen: keys.listen,
        data: keys.data.map(|data| folder.join(data)),
        peers: peers.collect::<Result<_, _>>()?,
        identity: keys.identity.map(|identity| folder.join(identity)),
        insecure: keys.insecure,
        reached_at: keys.reached_at,
        max_outgoing: keys.max_outgoing,
        max_incoming: keys.max_incoming,
        bandwidth: bandwidth.map_err(|error| format!("bandwidth: {error}"))?,
        allow: keys.allow.iter().map(|path| folder.join(path)).collect(),
    })
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
