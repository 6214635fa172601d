//! The daemon: a node that serves HTTP until it is told to end. Its machines live on.

mod doors;
mod error;

pub use doors::Doors;
pub use error::DaemonError;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use landfall_converge::ByteRate;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

use self::doors::Opened;
use crate::api::{Keys, router};
use crate::http_peer::HttpPeer;
use crate::local::{LocalDoor, LocalUser};
use crate::machines::LocalMachines;
use crate::model::NodeName;
use crate::node::{Node, Setup};
use crate::peer::Peer;
use crate::presence::{self, Announced, Presence};
use crate::process::ProcessId;
use crate::secret::kept;
use crate::store::Store;
use crate::tls::{Caller, TlsListener};

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
    /// Where others reach this host, as a name or an address, if it is not where it listens.
    pub reached_at: Option<String>,
    /// Who speaks with it, and how.
    pub doors: Doors,
    /// How many guests may leave at a time.
    pub max_outgoing: u32,
    /// How many may come in at a time.
    pub max_incoming: u32,
    /// What all migrations from here may take together.
    pub bandwidth: Option<ByteRate>,
    /// Files and folders that machines started here may open beside what their descriptions name.
    pub allowed: Vec<PathBuf>,
}

impl Daemon {
    /// Runs until the process is told to end, by SIGTERM or Ctrl-C. `say` is given what a person should know.
    ///
    /// # Errors
    /// When the identity, the store, the address or another node's cannot be used.
    pub fn run(mut self, say: impl FnOnce(&str)) -> Result<(), DaemonError> {
        let opened = self.doors.open(&self.name, self.listen)?;
        let data = |error| DaemonError::Data(self.data.clone(), error);
        fs::create_dir_all(&self.data).map_err(data)?;
        // Machines outlive this process, and the folder in which it happened to be started.
        self.data = self.data.canonicalize().map_err(data)?;
        let data = |error| DaemonError::Data(self.data.clone(), error);
        let token = kept(&self.data.join("token")).map_err(data)?;
        let node = self.node(&opened)?;
        node.recover()?;
        node.tend();
        let runtime = tokio::runtime::Runtime::new()?;
        let served = runtime.block_on(self.serve(&node, &opened, token, say));
        runtime.shutdown_background();
        node.leave();
        served
    }

    fn node(&self, opened: &Opened) -> Result<Node, DaemonError> {
        let guest_address = self.reached_at()?;
        let mut peers: BTreeMap<NodeName, Arc<dyn Peer>> = BTreeMap::new();
        for (name, address) in &self.peers {
            if !address.starts_with(opened.scheme()) {
                let (node, address) = (name.clone(), address.clone());
                return Err(DaemonError::Scheme { node, address, speaks: opened.scheme() });
            }
            let peer = HttpPeer::new(name.clone(), address, &opened.known_by)?;
            peers.insert(name.clone(), Arc::new(peer));
        }
        let store = Arc::new(Store::open(&self.data.join("node.redb"))?);
        let folder = self.data.join("machines");
        let (program, identity) = (std::env::current_exe()?, opened.identity.clone());
        let machines = LocalMachines::new(program, folder.clone(), identity);
        let machines = Arc::new(machines.allowing(self.allowed()?));
        let setup = Setup {
            name: self.name.clone(),
            machines: folder,
            guest_address,
            protected: opened.identity.is_some(),
            max_outgoing: self.max_outgoing,
            max_incoming: self.max_incoming,
            bandwidth: self.bandwidth,
        };
        Ok(Node::new(setup, store, machines, peers))
    }

    /// Looked for now: of a path that is not there, a machine would not say whose mistake it is.
    fn allowed(&self) -> Result<Vec<PathBuf>, DaemonError> {
        let absolute = |path: &PathBuf| {
            path.canonicalize().map_err(|error| DaemonError::Allowed(path.clone(), error))
        };
        self.allowed.iter().map(absolute).collect()
    }

    /// The name or the address by which others reach this host.
    fn reached_at(&self) -> Result<String, DaemonError> {
        match &self.reached_at {
            Some(host) => Ok(host.clone()),
            None if self.listen.ip().is_unspecified() => Err(DaemonError::Everywhere(self.listen)),
            None => Ok(self.listen.ip().to_string()),
        }
    }

    async fn serve(
        &self,
        node: &Node,
        opened: &Opened,
        token: String,
        say: impl FnOnce(&str),
    ) -> Result<(), DaemonError> {
        let listener = TcpListener::bind(self.listen).await;
        let listener = listener.map_err(|error| DaemonError::Listen(self.listen, error))?;
        let address = listener.local_addr()?;
        let (mut ended, mut interrupted) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let local = self.open_on_this_host();
        let _announced = self.announce(near(address), opened, local.as_ref().map(|(door, _)| door));
        let shown = match &self.reached_at {
            Some(host) => format!("{host}:{}", address.port()),
            None => address.to_string(),
        };
        let scheme = opened.scheme();
        if self.tell_the_service_manager() {
            // What is said now stands in a log that others may read.
            let kept = self.data.join("token");
            say(&format!(
                "node {} answers at {scheme}{shown}; its token is in {}",
                self.name,
                kept.display()
            ));
        } else {
            say(&format!("node {} answers at {scheme}{shown}/login?token={token}", self.name));
        }
        let app = router(node.clone(), Keys { token, peer: opened.key() });
        let here = app.clone().into_make_service_with_connect_info::<LocalUser>();
        let app: IntoMakeServiceWithConnectInfo<Router, Caller> =
            app.into_make_service_with_connect_info();
        let serving = async {
            match &opened.server {
                Some(config) => {
                    axum::serve(TlsListener::new(listener, Arc::clone(config))?, app).await
                }
                None => axum::serve(listener, app).await,
            }
        };
        let serving_here = async {
            match local {
                Some((_door, listener)) => axum::serve(listener, here).await,
                None => std::future::pending().await,
            }
        };
        // Watchers never hang up by themselves, so nobody is waited for.
        tokio::select! {
            served = serving => Ok(served?),
            served = serving_here => Ok(served?),
            _ = ended.recv() => Ok(()),
            _ = interrupted.recv() => Ok(()),
        }
    }

    /// Opens the door for whoever works on this host. It works as well without, by the address and the token.
    fn open_on_this_host(&self) -> Option<(LocalDoor, UnixListener)> {
        let opened = LocalDoor::open(&self.data);
        opened
            .inspect_err(|error| {
                tracing::warn!(
                    "there is no socket for commands in {}: {error}; they use the address and the token",
                    self.data.display()
                );
            })
            .ok()
    }

    /// Whether there is one: systemd, where its unit is of `Type=notify`. It starts what needs the node once it answers.
    fn tell_the_service_manager(&self) -> bool {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return false;
        }
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
            tracing::warn!(
                "the service manager cannot be told that node {} answers: {error}",
                self.name
            );
        }
        true
    }

    /// Lets the commands of this user find the daemon. It works as well without.
    fn announce(
        &self,
        address: SocketAddr,
        opened: &Opened,
        local: Option<&LocalDoor>,
    ) -> Option<Announced> {
        let presence = Presence {
            name: self.name.clone(),
            address: format!("{}{address}", opened.scheme()),
            token: self.data.join("token"),
            authority: opened.authority(),
            socket: local.map(|door| door.path().to_owned()),
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

/// Where programs on this host reach who listens at `address`.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
