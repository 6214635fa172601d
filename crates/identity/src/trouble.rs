//! What failed between two sides that do not trust each other, for people.

use rustls::AlertDescription as Alert;
use rustls::{CertificateError, Error};

const SAME_AUTHORITY: &str = "both need certificates of the same authority (`landfall cert ca`)";

/// Why a connection was not made or broke, and what to do.
#[must_use]
pub fn describe(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => theirs(why),
        Error::NoCertificatesPresented => {
            format!("the other side has shown no certificate; {SAME_AUTHORITY}")
        }
        Error::AlertReceived(alert) => ours(*alert),
        Error::DecryptError => "the data was corrupted on its way".to_owned(),
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => {
            "the other side does not speak TLS; is its address meant to begin with tls: too?"
                .to_owned()
        }
        Error::PeerIncompatible(_) => "the other side does not speak TLS 1.3".to_owned(),
        other => other.to_string(),
    }
}

/// The other side's certificate is not what it should be.
fn theirs(why: &CertificateError) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the other side's certificate has expired; renew it (`landfall cert node --renew`)"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the other side's certificate is not valid yet; do the clocks of both hosts agree?"
                .to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("the other side's certificate is of another authority; {SAME_AUTHORITY}")
        }
        CertificateError::NotValidForNameContext { expected, presented } => format!(
            "the other side's certificate is not for {}, but for {}; connect to one of its names, or renew it with \
             that name (`landfall cert node --renew --address {0}`)",
            expected.to_str(),
            names(presented),
        ),
        other => format!("the other side's certificate is not good: {other}"),
    }
}

/// `DnsName("a")` and `IpAddress(127.0.0.1)`, as they are presented, without their wrapping.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

/// The other side does not take this side's certificate.
fn ours(alert: Alert) -> String {
    match alert {
        Alert::CertificateExpired => {
            "the other side says that this side's certificate has expired; renew it (`landfall cert node --renew`)"
                .to_owned()
        }
        Alert::UnknownCA | Alert::DecryptError => format!(
            "the other side does not know the authority of this side's certificate; {SAME_AUTHORITY}"
        ),
        Alert::CertificateRequired => {
            format!("the other side asks for a certificate; {SAME_AUTHORITY}")
        }
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate => {
            "the other side does not take this side's certificate".to_owned()
        }
        Alert::BadRecordMac => "the data was corrupted on its way".to_owned(),
        Alert::ProtocolVersion => "the other side does not speak TLS 1.3".to_owned(),
        other => format!("the other side has ended the connection ({other:?})"),
    }
}
