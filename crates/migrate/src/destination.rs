//! The destination's side: takes a guest in, checks it, and runs it once it was given.

mod greeting;
mod receiving;
mod taking_in;
mod taking_over;

use std::io;
use std::time::Duration;

use crate::channel::Acceptor;
use crate::control::Control;
use crate::deed::Deed;
use crate::machine::{Destination, Host, MachineError};
use crate::options::Uri;
use crate::security::{Security, SecurityError};
use crate::wire::{VERSION, WireError};

use self::greeting::Greeted;
use self::taking_in::Reception;

/// A source sends something on each channel every second; one that is silent for this long is not there any more.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Why no guest has come in.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The address cannot be listened on.
    #[error("cannot listen on {uri}; is another destination waiting there?")]
    Listen {
        /// The address.
        uri: Uri,
        /// What the system said.
        source: io::Error,
    },
    /// Who connects could not be trusted, or others could look on.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// It was cancelled on this side.
    #[error("cancelled")]
    Cancelled,
    /// The source has called it off.
    #[error("the source has called it off: {0}")]
    CalledOff(String),
    /// The connection failed, or what came over it is no migration.
    #[error("the guest goes on at the source")]
    Wire(#[from] WireError),
    /// No version is understood by both sides.
    #[error(
        "the source speaks versions {0} to {1} of the protocol, this side {VERSION}; run the same version of Landfall on both"
    )]
    Version(u16, u16),
    /// The machine cannot be built here.
    #[error("this host cannot run the guest; it goes on at the source")]
    Refused(#[source] MachineError),
    /// The memory itself was to come, and did not.
    #[error("the guest's memory was not handed over: {0}; the guest goes on at the source")]
    NotHandedOver(&'static str),
    /// A page lies where the guest has no memory.
    #[error("a page could not be written; the guest goes on at the source")]
    Memory(#[source] MachineError),
    /// The state does not fit.
    #[error("the guest's state could not be loaded; it goes on at the source")]
    Load(#[source] MachineError),
    /// What arrived is not what was sent.
    #[error(
        "memory or state differ from the source's (digest {0:08x} instead of {1:08x}); the guest goes on at the source"
    )]
    Digest(u32, u32),
}

/// A guest that has come in.
pub struct Arrival {
    /// The machine: running, or paused where the guest was paused at the source or is in doubt.
    pub machine: Box<dyn Destination>,
    /// The connection was lost when everything was here and the guest was not given away yet, or not heard to be: it may
    /// run at the source. It stays paused until an operator decides.
    pub in_doubt: bool,
    /// Where the guest's memory was handed over and is in doubt: who lets the guest run must take it first.
    pub deed: Option<Deed>,
    /// Bytes of pages that came in.
    pub received_bytes: u64,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrival").field("in_doubt", &self.in_doubt).finish_non_exhaustive()
    }
}

/// Waits for a source.
#[derive(Debug)]
pub struct Listener {
    acceptor: Acceptor,
    uri: Uri,
    security: Security,
    source_timeout: Duration,
}

impl Listener {
    /// Listens where `uri` says, for those whom `security` lets in.
    ///
    /// # Errors
    /// When the address cannot be listened on, there is no identity where one is needed, or a plain connection from
    /// another host could be made that nobody has asked for.
    pub fn bind(uri: &Uri, security: &Security) -> Result<Self, ReceiveError> {
        let is_plain = security.server(uri)?.is_none();
        let acceptor = Acceptor::bind(uri)
            .map_err(|source| ReceiveError::Listen { uri: uri.clone(), source })?;
        if let Some(address) = acceptor.address().filter(|_| is_plain) {
            security.plain_to(address)?;
        }
        let (uri, security) = (uri.clone(), security.clone());
        Ok(Self { acceptor, uri, security, source_timeout: SOURCE_TIMEOUT })
    }

    /// Takes a source that has been silent for `timeout` to be lost; 30 s unless told otherwise.
    #[must_use]
    pub fn with_source_timeout(mut self, timeout: Duration) -> Self {
        self.source_timeout = timeout;
        self
    }

    /// Where a source finds it: with the port that the system gave where none was chosen.
    #[must_use]
    pub fn uri(&self) -> Uri {
        let with_port = |asked: &String| match (asked.rsplit_once(':'), self.acceptor.address()) {
            (Some((host, "0")), Some(given)) => format!("{host}:{}", given.port()),
            _ => asked.clone(),
        };
        match &self.uri {
            Uri::Tcp(address) => Uri::Tcp(with_port(address)),
            Uri::Tls(address) => Uri::Tls(with_port(address)),
            Uri::Unix(path) => Uri::Unix(path.clone()),
        }
    }

    /// Takes one guest in. Connections that are no migrations are hung up on.
    ///
    /// # Errors
    /// When it fails, is called off or cancelled; the guest goes on at the source then. Cancelling comes too late once the
    /// source was told that everything is here.
    pub fn accept_migration(
        &self,
        host: &mut dyn Host,
        control: &Control,
    ) -> Result<Arrival, ReceiveError> {
        let arrival = self.accept(host, control);
        // Otherwise the connection would stay open for as long as somebody has the handle.
        control.uninterrupt();
        arrival
    }

    fn accept(&self, host: &mut dyn Host, control: &Control) -> Result<Arrival, ReceiveError> {
        loop {
            // Each time anew: while a connection was looked at, cancelling would have ended that.
            control.interrupt(self.acceptor.waker().map_err(WireError::from)?);
            let accepted = self.acceptor.accept();
            if control.is_cancelled() {
                return Err(ReceiveError::Cancelled);
            }
            let stream = accepted.map_err(WireError::from)?;
            // Read anew each time, so that a renewed certificate is shown.
            let config = self.security.server(&self.uri)?;
            let interrupt = |clone| control.interrupt(clone);
            let greeted = Greeted::welcome(stream, config, None, interrupt);
            let first = match greeted {
                Ok(greeted) => greeted,
                Err(ReceiveError::Wire(error)) => {
                    tracing::warn!("a connection that is no migration was closed: {error}");
                    continue;
                }
                Err(error) => return Err(error),
            };
            return Reception::of(first, self, control)?.take_in(host, control);
        }
    }
}
