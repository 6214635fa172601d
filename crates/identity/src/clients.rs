//! What a side that connects shows, and whom it expects.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore};
use rustls::{Error, SignatureScheme};

use crate::IdentityError;
use crate::identity::{authorities, provider};

/// A certificate and its key.
pub(crate) type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// For a program that has no certificate of its own: it knows hosts by the authority whose certificate is in the file at
/// `authority`. With a `name` it expects that host, by whatever address it is reached.
///
/// # Errors
/// When the file cannot be read, or the name is none.
pub fn trusting(authority: &Path, name: Option<&str>) -> Result<Arc<ClientConfig>, IdentityError> {
    let roots = Arc::new(authorities(authority)?);
    let set = |source| IdentityError::Set { directory: authority.to_owned(), source };
    match name {
        Some(name) => expecting(&roots, name, None),
        None => ordinary(&roots, None).map_err(set),
    }
}

/// For a program that speaks TLS with nobody.
#[must_use]
pub fn trusting_nobody() -> Option<Arc<ClientConfig>> {
    ordinary(&Arc::new(RootCertStore::empty()), None).ok()
}

/// A client that expects a host under the name or the address by which it is reached.
pub(crate) fn ordinary(
    roots: &Arc<RootCertStore>,
    own: Option<Own>,
) -> Result<Arc<ClientConfig>, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(Arc::clone(roots));
    finish(match own {
        Some((chain, key)) => config.with_client_auth_cert(chain, key)?,
        None => config.with_no_client_auth(),
    })
}

/// A client that expects the host of this name.
pub(crate) fn expecting(
    roots: &Arc<RootCertStore>,
    name: &str,
    own: Option<Own>,
) -> Result<Arc<ClientConfig>, IdentityError> {
    let wrong = || IdentityError::Name { name: name.to_owned() };
    let name = ServerName::try_from(name.to_owned()).map_err(|_| wrong())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), provider());
    let verifier = verifier.build().map_err(|_| wrong())?;
    let made = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map(|config| config.dangerous())
        .map(|config| config.with_custom_certificate_verifier(Arc::new(Named { name, verifier })));
    let config = made.and_then(|config| match own {
        Some((chain, key)) => config.with_client_auth_cert(chain, key),
        None => Ok(config.with_no_client_auth()),
    });
    config.and_then(finish).map_err(|_| wrong())
}

fn finish(mut config: ClientConfig) -> Result<Arc<ClientConfig>, Error> {
    // Every connection shows its certificates: one that has become invalid must not live on in a ticket.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Everything is checked as always, but for the name: it is that of the host which is meant, and not where it was found.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _reached_by: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_server_cert(end, chain, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.verifier.root_hint_subjects()
    }
}
