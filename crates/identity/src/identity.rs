//! What a host has to show who it is, and to know who others are.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificate::Certificate;
use crate::clients::{expecting, ordinary};
use crate::{CA_FILE, CERTIFICATE_FILE, IdentityError, KEY_FILE, files};

/// A certificate, its key, and the authority that this host trusts. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: Certificate,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    roots: Arc<RootCertStore>,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Identity {
    /// Reads `ca.pem`, `cert.pem` and `key.pem` from `directory`. Read anew for every migration, so that a renewed
    /// certificate is used without a restart.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn load(directory: &Path) -> Result<Self, IdentityError> {
        let chain = certificates(&directory.join(CERTIFICATE_FILE))?;
        let certificate = chain.first().and_then(Certificate::parse);
        let path = directory.join(CERTIFICATE_FILE);
        let certificate =
            certificate.ok_or(IdentityError::Content { path, what: "certificate" })?;
        let set = |source| IdentityError::Set { directory: directory.to_owned(), source };
        let roots = Arc::new(authorities(&directory.join(CA_FILE))?);
        let key = key(&directory.join(KEY_FILE))?;
        Ok(Self {
            certificate,
            client: ordinary(&roots, Some((chain.clone(), key.clone_key()))).map_err(set)?,
            server: server(&roots, chain.clone(), key.clone_key(), true).map_err(set)?,
            chain,
            key: Arc::new(key),
            roots,
        })
    }

    /// What the certificate says.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// For the side that connects: it shows its certificate, and expects one of the same authority that is valid for the
    /// name or address that it connects to.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// The same, but what it expects is the host of this name, by whatever address it is reached.
    ///
    /// # Errors
    /// When no certificate can bear that name.
    pub fn client_config_for(&self, name: &str) -> Result<Arc<ClientConfig>, IdentityError> {
        expecting(&self.roots, name, Some((self.chain.clone(), self.key.clone_key())))
    }

    /// For the side that is connected to: it shows its certificate, and turns away who has none of the same authority.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// The same, but it lets in who shows no certificate at all, to be asked by other means who it is.
    ///
    /// # Errors
    /// Never, for what could be loaded; the library does not say so.
    pub fn open_server_config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        server(&self.roots, self.chain.clone(), self.key.clone_key(), false)
    }
}

/// The name that the certificate of the host at `address` (`HOST:PORT` or `HOST`, an IPv6 address in brackets where a port
/// follows) must bear.
///
/// # Errors
/// When there is neither the name of a host nor an IP address in it.
pub fn name_in(address: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let host = match address.rsplit_once(':') {
        // More colons than one: an IPv6 address.
        Some((host, _)) if !host.contains(':') || host.ends_with(']') => host,
        _ => address,
    };
    ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Whom a host trusts.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(path)? {
        roots
            .add(root)
            .map_err(|_| IdentityError::Content { path: path.to_owned(), what: "authority" })?;
    }
    Ok(roots)
}

fn server(
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    certificates_only: bool,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider());
    let verifier = if certificates_only { verifier } else { verifier.allow_unauthenticated() };
    let verifier = verifier.build().map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = files::read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let some = read.ok().filter(|certificates| !certificates.is_empty());
    some.ok_or_else(|| IdentityError::Content { path: path.to_owned(), what: "certificate" })
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    PrivateKeyDer::from_pem_slice(files::read(path)?.as_bytes())
        .map_err(|_| IdentityError::Content { path: path.to_owned(), what: "key" })
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
