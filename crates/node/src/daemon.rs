//! The daemon: a node that serves HTTP until it is told to end. Its machines live on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use landfall_converge::ByteRate;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{Keys, router};
use crate::http_peer::HttpPeer;
use crate::machines::LocalMachines;
use crate::model::NodeName;
use crate::node::{Node, NodeError, Setup};
use crate::peer::{Peer, PeerError};
use crate::presence::{self, Announced, Presence};
use crate::process::ProcessId;
use crate::secret::kept;
use crate::store::{Store, StoreError};

/// How a daemon is set up.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// What the node is called.
    pub name: NodeName,
    /// Where it listens.
    pub listen: SocketAddr,
    /// The folder with everything that it keeps.
    pub data: PathBuf,
    /// Other nodes: what they are called and where their API is.
    pub peers: Vec<(NodeName, String)>,
    /// Whether plain connections were asked for.
    pub insecure: bool,
    /// How many guests may leave at a time.
    pub max_outgoing: u32,
    /// How many may come in at a time.
    pub max_incoming: u32,
    /// What all migrations from here may take together.
    pub bandwidth: Option<ByteRate>,
}

/// Why a daemon did not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Plain connections were not asked for.
    #[error(
        "nodes speak plain HTTP and plain page channels so far; say --insecure to have that, on this machine alone"
    )]
    NotInsecure,
    /// It would be heard by others.
    #[error(
        "--insecure is for this machine alone; listen on a loopback address, as 127.0.0.1:7101"
    )]
    NotLoopback,
    /// The folder.
    #[error("{} cannot be used; see that it is writable", .0.display())]
    Data(PathBuf, #[source] io::Error),
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

impl Daemon {
    /// Runs until the process is told to end, by SIGTERM or Ctrl-C. `say` is given what a person should know.
    ///
    /// # Errors
    /// When the store, the address or another node's cannot be used.
    pub fn run(mut self, say: impl FnOnce(&str)) -> Result<(), DaemonError> {
        if !self.insecure {
            return Err(DaemonError::NotInsecure);
        }
        if !self.listen.ip().is_loopback() {
            return Err(DaemonError::NotLoopback);
        }
        let data = |error| DaemonError::Data(self.data.clone(), error);
        fs::create_dir_all(&self.data).map_err(data)?;
        // Machines outlive this process, and the folder in which it happened to be started.
        self.data = self.data.canonicalize().map_err(data)?;
        let data = |error| DaemonError::Data(self.data.clone(), error);
        let keys = Keys {
            token: kept(&self.data.join("token")).map_err(data)?,
            peer: presence::folder().and_then(|folder| kept(&folder.join("peer-key")))?,
        };
        let node = self.node(&keys)?;
        node.recover()?;
        node.tend();
        let runtime = tokio::runtime::Runtime::new()?;
        let served = runtime.block_on(self.serve(&node, keys, say));
        runtime.shutdown_background();
        node.leave();
        served
    }

    fn node(&self, keys: &Keys) -> Result<Node, DaemonError> {
        let store = Arc::new(Store::open(&self.data.join("node.redb"))?);
        let folder = self.data.join("machines");
        let machines = Arc::new(LocalMachines::new(std::env::current_exe()?, folder.clone()));
        let mut peers: BTreeMap<NodeName, Arc<dyn Peer>> = BTreeMap::new();
        for (name, address) in &self.peers {
            let peer = HttpPeer::new(name.clone(), address, &keys.peer)?;
            peers.insert(name.clone(), Arc::new(peer));
        }
        let setup = Setup {
            name: self.name.clone(),
            machines: folder,
            guest_address: self.listen.ip().to_string(),
            max_outgoing: self.max_outgoing,
            max_incoming: self.max_incoming,
            bandwidth: self.bandwidth,
        };
        Ok(Node::new(setup, store, machines, peers))
    }

    async fn serve(
        &self,
        node: &Node,
        keys: Keys,
        say: impl FnOnce(&str),
    ) -> Result<(), DaemonError> {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.map_err(|error| DaemonError::Listen(self.listen, error))?;
        let address = listener.local_addr()?;
        let (mut ended, mut interrupted) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let _announced = self.announce(address);
        say(&format!("node {} answers at http://{address}/login?token={}", self.name, keys.token));
        let app = router(node.clone(), keys);
        // Watchers never hang up by themselves, so nobody is waited for.
        tokio::select! {
            served = axum::serve(listener, app) => Ok(served?),
            _ = ended.recv() => Ok(()),
            _ = interrupted.recv() => Ok(()),
        }
    }
    /// Lets the commands of this user find the daemon. It works as well without.
    fn announce(&self, address: SocketAddr) -> Option<Announced> {
        let presence = Presence {
            name: self.name.clone(),
            address: format!("http://{address}"),
            token: self.data.join("token"),
            process: ProcessId::of(std::process::id())?,
        };
        let announced = presence::announce(&presence);
        announced
            .inspect_err(|error| {
                tracing::warn!("commands must be told where this node is: {error}")
            })
            .ok()
    }
}
