//! Who may take part in a migration, and whether others can look on.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use landfall_identity::{Identity, IdentityError, name_in};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use crate::options::Uri;

/// How a connection to another host is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// The directory of this host's identity; with one, every connection over TCP is one of TLS 1.3.
    pub identity: Option<PathBuf>,
    /// The name in the destination's certificate, where it is not the host that is connected to.
    pub peer_name: Option<String>,
    /// Whether a connection to another host may be plain, because the network between is trusted.
    pub allow_plain: bool,
}

/// Why there is no protected connection.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// Somebody else could look on.
    #[error(
        "{0} is not on this host alone, and a plain connection would show the guest's memory to everybody on the way; \
         use tls: with an identity (--tls-identity DIRECTORY), or say --insecure if the network is trusted"
    )]
    Plain(IpAddr),
    /// There is nothing to show.
    #[error("tls: needs an identity (--tls-identity DIRECTORY); `landfall cert node` makes one")]
    NoIdentity,
    /// It knows nothing of TLS, or is gone.
    #[error(
        "the destination hung up during the hand-shake; if it does not speak TLS, give it an identity, too (--tls-identity DIRECTORY)"
    )]
    HungUp,
    /// The identity cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Nothing that a certificate could be for.
    #[error("'{0}' is neither the name of a host nor an IP address")]
    Name(String),
}

impl Security {
    /// For the side that connects over TCP to `address`: whom it expects there, if TLS is spoken.
    pub(crate) fn client(&self, uri: &Uri) -> Result<Option<Client>, SecurityError> {
        let (address, identity) = match (uri, &self.identity) {
            (Uri::Unix(_), _) | (Uri::Tcp(_), None) => return Ok(None),
            (Uri::Tls(_), None) => return Err(SecurityError::NoIdentity),
            (Uri::Tls(address) | Uri::Tcp(address), Some(identity)) => (address, identity),
        };
        let expected = self.peer_name.as_ref().unwrap_or(address);
        let name = name_in(expected).map_err(|_| SecurityError::Name(expected.clone()))?;
        Ok(Some(Client { config: Identity::load(identity)?.client_config(), name }))
    }

    /// For the side that is connected to: what it shows, if TLS is spoken.
    pub(crate) fn server(&self, uri: &Uri) -> Result<Option<Arc<ServerConfig>>, SecurityError> {
        match (uri, &self.identity) {
            (Uri::Unix(_), _) | (Uri::Tcp(_), None) => Ok(None),
            (Uri::Tls(_), None) => Err(SecurityError::NoIdentity),
            (Uri::Tls(_) | Uri::Tcp(_), Some(identity)) => {
                Ok(Some(Identity::load(identity)?.server_config()))
            }
        }
    }

    /// Whether a plain connection from or to `address` is one that nobody else can see, or is asked for.
    pub(crate) fn plain_to(&self, address: SocketAddr) -> Result<(), SecurityError> {
        if address.ip().is_loopback() || self.allow_plain {
            Ok(())
        } else {
            Err(SecurityError::Plain(address.ip()))
        }
    }
}

/// Who connects, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}
