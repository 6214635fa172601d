//! Why there is no identity.

use std::io;
use std::path::PathBuf;

/// Why certificates could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file is missing, or may not be read.
    #[error("{path} cannot be read; an identity is made with `landfall cert node`")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("{path} cannot be written; check the rights of its directory")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is there must not be lost by chance.
    #[error("{path} is there already; choose another directory, or take it away first")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file holds something else.
    #[error("{path} holds no {what} in PEM form; is it the right file?")]
    Content {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
    },
    /// Certificate, key and authority are no set.
    #[error("the certificate, the key and the authority in {directory} do not belong together")]
    Set {
        /// Where they are.
        directory: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// A name that no certificate can bear.
    #[error("'{name}' is neither the name of a host nor an IP address")]
    Name {
        /// The name.
        name: String,
    },
    /// A time that no certificate can bear.
    #[error("a certificate cannot be valid for that long; choose some years at most")]
    Validity,
    /// The certificate could not be made.
    #[error("no certificate could be made")]
    Make(#[from] rcgen::Error),
}
