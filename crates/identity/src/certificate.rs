//! What a certificate says.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate says of its bearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The host names and addresses that it is valid for.
    pub names: Vec<String>,
    /// Who has given it out.
    pub issuer: String,
    /// From when on it is valid.
    pub begins: SystemTime,
    /// Until when.
    pub ends: SystemTime,
}

impl Certificate {
    /// Reads a certificate: the other side's, from a connection whose hand-shake is over, or one's own. `None` when it is
    /// none.
    #[must_use]
    pub fn parse(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()?;
        let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
        Some(Self {
            names: names.iter().filter_map(name).collect(),
            issuer: common_name(parsed.issuer())?,
            begins: time(parsed.validity().not_before.timestamp()),
            ends: time(parsed.validity().not_after.timestamp()),
        })
    }
}

fn common_name(name: &x509_parser::x509::X509Name<'_>) -> Option<String> {
    let common = name.iter_common_name().next().and_then(|name| name.as_str().ok());
    Some(common.map_or_else(|| name.to_string(), str::to_owned))
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let address = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            address
                .or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from))
                .map(|ip| ip.to_string())
                .ok()
        }
        _ => None,
    }
}

fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}
