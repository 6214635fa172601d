//! Who a host is to others: a certificate of its own and the authority that both sides trust, for TLS 1.3 in which each
//! side shows who it is.
//!
//! [`Authority`] gives certificates out, [`Identity`] is what a host has of it. One certificate serves both ends of a
//! connection: a host is the source of one migration and the destination of the next.

#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod clients;
mod error;
mod files;
mod identity;
mod trouble;

pub use authority::{Authority, Request};
pub use certificate::Certificate;
pub use clients::{trusting, trusting_nobody};
pub use error::IdentityError;
pub use identity::{Identity, name_in};
pub use trouble::describe;

/// The certificate of the authority, in every directory of certificates.
pub const CA_FILE: &str = "ca.pem";
/// The authority's key, in its own directory alone.
pub const CA_KEY_FILE: &str = "ca-key.pem";
/// A host's certificate.
pub const CERTIFICATE_FILE: &str = "cert.pem";
/// A host's key.
pub const KEY_FILE: &str = "key.pem";
