//! Why a daemon did not run.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use landfall_identity::IdentityError;

use crate::model::NodeName;
use crate::node::NodeError;
use crate::peer::PeerError;
use crate::store::StoreError;

/// Why a daemon did not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The identity is another's.
    #[error(
        "the certificate in {} is for {names}, and not for {name}: others would not believe this node; give the node that name, or it a certificate of its own with `landfall cert node {name}`",
        .directory.display()
    )]
    NotNamed {
        /// Where the identity is.
        directory: PathBuf,
        /// Whose it is.
        names: String,
        /// What the node is called.
        name: NodeName,
    },
    /// A way to another node that is not like those that this one has.
    #[error("node {node} is at {address}, and this node speaks {speaks} alone; write {speaks}…")]
    Scheme {
        /// Which.
        node: NodeName,
        /// Where it is said to be.
        address: String,
        /// `https://` or `http://`.
        speaks: &'static str,
    },
    /// Nobody can connect to that.
    #[error(
        "{0} stands for every address of this host; say with --reached-at under which others reach it"
    )]
    Everywhere(SocketAddr),
    /// It would be heard by others.
    #[error(
        "--insecure is for this machine alone; listen on a loopback address, as 127.0.0.1:7101"
    )]
    NotLoopback,
    /// The folder.
    #[error("{} cannot be used; see that it is writable", .0.display())]
    Data(PathBuf, #[source] io::Error),
    /// What machines are to be allowed.
    #[error("{} cannot be allowed to machines; name a file or folder of this host", .0.display())]
    Allowed(PathBuf, #[source] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another node.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The address.
    #[error("cannot listen on {0}; does another program?")]
    Listen(SocketAddr, #[source] io::Error),
    /// The node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The system.
    #[error("the system refuses what a daemon needs")]
    System(#[from] io::Error),
}
