//! By what a node is known to whoever asks it.

use std::path::PathBuf;
use std::sync::Arc;

use landfall_identity::{IdentityError, trusting, trusting_nobody};
use reqwest::blocking::ClientBuilder;
use rustls::ClientConfig;

use crate::model::NodeName;

/// By what a node is known that answers over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The file with the certificate of the authority.
    pub authority: PathBuf,
    /// What the node is called, where its certificate is to be for that, and not for the address at which it is reached.
    pub name: Option<NodeName>,
}

impl Trust {
    /// For the connections to it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        trusting(&self.authority, self.name.as_ref().map(NodeName::as_str))
    }
}

/// A client over TLS as `config` says, or one that knows nobody and speaks plain HTTP alone.
pub fn client(config: Option<Arc<ClientConfig>>) -> ClientBuilder {
    let builder = ClientBuilder::new().no_proxy();
    match config.or_else(trusting_nobody) {
        Some(config) => builder.tls_backend_preconfigured(ClientConfig::clone(&config)),
        None => builder,
    }
}

/// Why no node was found that speaks TLS.
fn of_tls(error: &rustls::Error) -> String {
    use rustls::Error::{InappropriateMessage, InvalidMessage};
    match error {
        InvalidMessage(_) | InappropriateMessage { .. } => {
            "what answers there does not speak TLS; if it is a node that was started with --insecure, write http://".to_owned()
        }
        other => landfall_identity::describe(other),
    }
}

/// Why a node was not reached, said once and in words of what to do where TLS was the reason.
pub(crate) fn why(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(one) = cause {
        if let Some(tls) = one.downcast_ref::<rustls::Error>() {
            return of_tls(tls);
        }
        // What an I/O error holds is not its source, but the source of that is.
        let inner = one.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return of_tls(tls);
        }
        cause = inner.map(|inner| inner as _).or_else(|| one.source());
    }
    crate::machines::chain(error)
}
