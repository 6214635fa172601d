//! Why a migration ended with the guest at the source.

use std::time::Duration;

use landfall_identity::describe as describe_tls;

use crate::channel::ConnectError;
use crate::machine::MachineError;
use crate::options::Uri;
use crate::report::Outcome;
use crate::security::SecurityError;
use crate::wire::WireError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("cancelled")]
    Cancelled,
    #[error("{0}")]
    GaveUp(String),
    #[error(
        "the destination cannot be reached: {0}; is a destination waiting there? (landfall vm run --incoming URI)"
    )]
    Unreachable(std::io::Error),
    #[error(
        "{0} is no place that a guest can be handed over to: file descriptors pass between processes of one host only, over a \
         Unix socket; give unix:PATH, or migrate without --hand-over"
    )]
    NoHandOver(Uri),
    #[error("there is no protected connection to the destination: {0}; the guest goes on here")]
    Insecure(String),
    #[error("the destination refused or failed: {0}")]
    PeerFailed(String),
    #[error("the connection to the destination was lost: {}; the guest goes on here, start the migration again", describe(.0))]
    Lost(WireError),
    #[error(
        "the destination has not answered within {0:?} while {1}; is it alive? The guest goes on here"
    )]
    Silent(Duration, &'static str),
    #[error("the machine could not {0}: {1}")]
    Machine(&'static str, MachineError),
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
}

fn describe(error: &WireError) -> String {
    match error {
        WireError::Io(cause) => format!("{error} ({cause})"),
        _ => error.to_string(),
    }
}

impl Ended {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Cancelled => Outcome::Cancelled,
            Self::GaveUp(_) => Outcome::GaveUp,
            Self::Unreachable(_)
            | Self::NoHandOver(_)
            | Self::Insecure(_)
            | Self::PeerFailed(_)
            | Self::Lost(_)
            | Self::Silent(..)
            | Self::Machine(..)
            | Self::Thread(_) => Outcome::Failed,
        }
    }
}

impl From<ConnectError> for Ended {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Security(SecurityError::Identity(error)) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})"));
                Self::Insecure(format!("{error}{}", cause.unwrap_or_default()))
            }
            ConnectError::Security(error) => Self::Insecure(error.to_string()),
            ConnectError::Wire(WireError::Tls(error)) => Self::Insecure(describe_tls(&error)),
            ConnectError::Wire(error) => Self::Lost(error),
            ConnectError::Io(error) => Self::Unreachable(error),
        }
    }
}

impl From<WireError> for Ended {
    fn from(error: WireError) -> Self {
        Self::Lost(error)
    }
}
