//! The authority: one key that all hosts trust, and that gives certificates out to them.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::ServerName;
use time::OffsetDateTime;

use crate::files::{self, Readers};
use crate::{CA_FILE, CA_KEY_FILE, CERTIFICATE_FILE, IdentityError, KEY_FILE};

/// Clocks of hosts do not agree to the second: a certificate is valid since a while ago.
const CLOCKS_APART: Duration = Duration::from_secs(3600);

/// A directory with the authority's certificate and its key.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the host is called.
    pub name: String,
    /// Other names and IP addresses under which it is reached.
    pub addresses: Vec<String>,
    /// For how long, from now on.
    pub valid: Duration,
}

impl Authority {
    /// Makes an authority called `name` in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// When there is one already, or the files cannot be written.
    pub fn create(directory: &Path, name: &str, valid: Duration) -> Result<Self, IdentityError> {
        files::make_directory(directory)?;
        // Looked at first: half an authority would only stand in the way of the next attempt.
        files::must_not_exist(&directory.join(CA_FILE))?;
        let key = KeyPair::generate()?;
        let certificate = authority_parameters(name, valid)?.self_signed(&key)?.pem();
        files::write_new(&directory.join(CA_KEY_FILE), &key.serialize_pem(), Readers::Owner)?;
        files::write_new(&directory.join(CA_FILE), &certificate, Readers::All)?;
        Self::open(directory)
    }

    /// The authority in `directory`.
    ///
    /// # Errors
    /// When its files cannot be read.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        let (at, key_at) = (directory.join(CA_FILE), directory.join(CA_KEY_FILE));
        let certificate = files::read(&at)?;
        let key = read_key(&key_at)?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)
            .map_err(|_| IdentityError::Content { path: at, what: "certificate" })?;
        Ok(Self { certificate, issuer })
    }

    /// Gives a certificate to a host that has none: writes certificate, key and the authority's own certificate into
    /// `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// When there is a certificate already, or the files cannot be written.
    pub fn issue(&self, request: &Request, directory: &Path) -> Result<(), IdentityError> {
        files::make_directory(directory)?;
        let files = Files::in_directory(directory);
        for path in [&files.certificate, &files.key, &files.authority] {
            files::must_not_exist(path)?;
        }
        let key = KeyPair::generate()?;
        let certificate = self.certificate_for(request, &key)?;
        files::write_new(&files.authority, &self.certificate, Readers::All)?;
        files::write_new(&files.key, &key.serialize_pem(), Readers::Owner)?;
        files::write_new(&files.certificate, &certificate, Readers::All)
    }

    /// Gives a new certificate, for the same key, to the host whose certificate is in `directory`. The old one is replaced
    /// in one step, so that a host that is looking finds the one or the other.
    ///
    /// # Errors
    /// When there is no key, or the file cannot be written.
    pub fn renew(&self, request: &Request, directory: &Path) -> Result<(), IdentityError> {
        let files = Files::in_directory(directory);
        let key = read_key(&files.key)?;
        let certificate = self.certificate_for(request, &key)?;
        if files::read(&files.authority)? != self.certificate {
            files::replace(&files.authority, &self.certificate, Readers::All)?;
        }
        files::replace(&files.certificate, &certificate, Readers::All)
    }

    fn certificate_for(&self, request: &Request, key: &KeyPair) -> Result<String, IdentityError> {
        let mut names = vec![request.name.clone()];
        names.extend(request.addresses.iter().cloned());
        for name in &names {
            if ServerName::try_from(name.as_str()).is_err() {
                return Err(IdentityError::Name { name: name.clone() });
            }
        }
        let mut parameters = CertificateParams::new(names)?;
        parameters.distinguished_name = called(&request.name);
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // A host is the source of one migration and the destination of the next.
        parameters.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = true;
        validate(&mut parameters, request.valid)?;
        Ok(parameters.signed_by(key, &self.issuer)?.pem())
    }
}

struct Files {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn in_directory(directory: &Path) -> Self {
        Self {
            authority: directory.join(CA_FILE),
            certificate: directory.join(CERTIFICATE_FILE),
            key: directory.join(KEY_FILE),
        }
    }
}

fn read_key(path: &Path) -> Result<KeyPair, IdentityError> {
    KeyPair::from_pem(&files::read(path)?)
        .map_err(|_| IdentityError::Content { path: path.to_owned(), what: "key" })
}

fn authority_parameters(name: &str, valid: Duration) -> Result<CertificateParams, IdentityError> {
    let mut parameters = CertificateParams::new([])?;
    parameters.distinguished_name = called(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validate(&mut parameters, valid)?;
    Ok(parameters)
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn validate(parameters: &mut CertificateParams, valid: Duration) -> Result<(), IdentityError> {
    let now = SystemTime::now();
    let (begin, end) = (now - CLOCKS_APART, now.checked_add(valid));
    let end = end.and_then(|end| end.duration_since(SystemTime::UNIX_EPOCH).ok());
    let end = end.and_then(|end| i64::try_from(end.as_secs()).ok());
    let end = end.and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok());
    parameters.not_before = OffsetDateTime::from(begin);
    parameters.not_after = end.ok_or(IdentityError::Validity)?;
    Ok(())
}

#[cfg(test)]
#[path = "authority_tests.rs"]
mod tests;
