//! What a host has to show who it is, and to know who others are.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificate::Certificate;
use crate::{CA_FILE, CERTIFICATE_FILE, IdentityError, KEY_FILE, files};

/// A certificate, its key, and the authority that this host trusts. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: Certificate,
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
        let mut roots = RootCertStore::empty();
        let set = |source| IdentityError::Set { directory: directory.to_owned(), source };
        for root in certificates(&directory.join(CA_FILE))? {
            roots.add(root).map_err(set)?;
        }
        let key = key(&directory.join(KEY_FILE))?;
        let roots = Arc::new(roots);
        Ok(Self {
            certificate,
            client: client(&roots, chain.clone(), key.clone_key()).map_err(set)?,
            server: server(roots, chain, key).map_err(set)?,
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

    /// For the side that is connected to: it shows its certificate, and turns away who has none of the same authority.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
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

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn client(
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(Arc::clone(roots))
        .with_client_auth_cert(chain, key)?;
    // Every connection shows its certificates: one that has become invalid must not live on in a ticket.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn server(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
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
