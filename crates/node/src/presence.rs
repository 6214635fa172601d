//! The daemons of this user on this machine, so that a command finds the one that is meant without being told.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::NodeName;
use crate::process::ProcessId;

/// A daemon that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// What the node is called.
    pub name: NodeName,
    /// Where its API is, as `http://127.0.0.1:7101`.
    pub address: String,
    /// The file with the token that opens it.
    pub token: PathBuf,
    /// The file with the certificate of the authority by which it is known; `null` where it speaks plain HTTP.
    #[serde(default)]
    pub authority: Option<PathBuf>,
    /// The socket by which whoever works on this host needs no token; `null` where there is none.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The daemon's process.
    pub process: ProcessId,
}

/// What was announced, until it is dropped.
#[derive(Debug)]
pub struct Announced(PathBuf);

impl Drop for Announced {
    fn drop(&mut self) {
        // One that stays is told by its process to be of a daemon that has ended.
        let _ = fs::remove_file(&self.0);
    }
}

/// The folder in which what runs of this user is known, until the machine is started anew. Nobody else may write there.
///
/// # Errors
/// When it cannot be made, or belongs to somebody else.
pub fn folder() -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let path = match std::env::var_os("XDG_RUNTIME_DIR") {
        // Root's is the same for a service as for somebody who has logged in.
        Some(folder) if user == 0 && folder == "/run/user/0" => PathBuf::from("/run/landfall"),
        Some(folder) => PathBuf::from(folder).join("landfall"),
        None if user == 0 => PathBuf::from("/run/landfall"),
        None => PathBuf::from(format!("/tmp/landfall-{user}")),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    let owner = fs::symlink_metadata(&path)?;
    if owner.uid() != user || !owner.is_dir() {
        let why = format!("{} belongs to somebody else; take it away", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(path)
}

/// Lets commands of this user find a daemon.
///
/// # Errors
/// When it cannot be written down.
pub fn announce(presence: &Presence) -> io::Result<Announced> {
    announce_in(&folder()?.join("nodes"), presence)
}

/// The daemons of this user that run now, by name.
///
/// # Errors
/// When the folder cannot be read.
pub fn present() -> io::Result<Vec<Presence>> {
    present_in(&folder()?.join("nodes"))
}

fn announce_in(folder: &Path, presence: &Presence) -> io::Result<Announced> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = folder.join(format!("{}.json", presence.process.pid));
    let half = folder.join(format!("{}.half", presence.process.pid));
    let file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    serde_json::to_writer(file, presence)?;
    // Whoever looks just now finds all of it or nothing.
    fs::rename(half, &path)?;
    Ok(Announced(path))
}

fn present_in(folder: &Path) -> io::Result<Vec<Presence>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut present = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        // It may have been taken away meanwhile.
        let Ok(text) = fs::read(&path) else { continue };
        let Ok(presence) = serde_json::from_slice::<Presence>(&text) else { continue };
        if presence.process.is_alive() {
            present.push(presence);
        }
    }
    present.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
    Ok(present)
}

#[cfg(test)]
#[path = "presence_tests.rs"]
mod tests;
