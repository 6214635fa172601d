//! The door for whoever works on the host itself: a socket in the node's folder, for root and the user who runs the node.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// What the socket is called, in the node's folder.
const NAME: &str = "api.sock";

/// The socket, until it is dropped.
#[derive(Debug)]
pub(crate) struct LocalDoor {
    path: PathBuf,
}

impl LocalDoor {
    /// Opens it in the folder `data`, which no other daemon uses.
    ///
    /// # Errors
    /// When the socket cannot be made there, such as where the path is too long for one.
    pub(crate) fn open(data: &Path) -> io::Result<(Self, UnixListener)> {
        let path = data.join(NAME);
        // One that a daemon has left that was killed.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        let door = Self { path };
        fs::set_permissions(&door.path, fs::Permissions::from_mode(0o600))?;
        Ok((door, listener))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for LocalDoor {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The user whose process is at the other end of a connection, as the kernel says; `None` where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalUser(Option<u32>);

impl LocalUser {
    /// What it is called where it may do everything; `None` where it may do nothing.
    pub(crate) fn trusted(self) -> Option<String> {
        let own = rustix::process::getuid().as_raw();
        match self.0? {
            0 => Some("root on this host".to_owned()),
            user if user == own => Some("the node's own user on this host".to_owned()),
            _ => None,
        }
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for LocalUser {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_own_user_are_trusted_and_nobody_else() {
        let own = rustix::process::getuid().as_raw();
        assert!(LocalUser(Some(0)).trusted().unwrap().contains("root"));
        assert!(LocalUser(Some(own)).trusted().is_some());
        assert_eq!(LocalUser(Some(own + 1)).trusted(), None);
        assert_eq!(LocalUser(None).trusted(), None);
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_is_opened_anew_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let (killed, _listener) = LocalDoor::open(folder.path()).unwrap();
        std::mem::forget(killed);
        let (door, _listener) = LocalDoor::open(folder.path()).unwrap();
        let mode = fs::metadata(door.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(door);
        assert!(!folder.path().join(NAME).exists());
    }
}
