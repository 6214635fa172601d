//! What a migration is asked to do.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use landfall_converge::{ByteRate, Limits, Policy, SteppedParameters};
use serde::{Deserialize, Serialize};

pub use crate::security::{Security, SecurityError};

/// What one connection carries on any host: below this, further ones only cost.
const ONE_CARRIES: f64 = 1e9;
/// More than these are not opened by themselves.
const MOST_BY_THEMSELVES: usize = 8;

/// How many connections are worth trying from this host, for a migration that may use `max_bandwidth`: one where that is what one carries
/// anyway, otherwise half as many as there are processors, for the guest runs here, too, and two at least if there are two. With
/// [`Options::channels_by_speed`] only those of them are used that make it faster.
#[must_use]
pub fn most_channels(max_bandwidth: Option<ByteRate>) -> u8 {
    most_channels_with(std::thread::available_parallelism().map_or(1, usize::from), max_bandwidth)
}

fn most_channels_with(processors: usize, max_bandwidth: Option<ByteRate>) -> u8 {
    if processors < 2 || max_bandwidth.is_some_and(|rate| rate.bytes_per_second() <= ONE_CARRIES) {
        return 1;
    }
    u8::try_from((processors / 2).clamp(2, MOST_BY_THEMSELVES)).unwrap_or(1)
}

/// Where a destination listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Uri {
    /// `tcp:HOST:PORT`
    Tcp(String),
    /// `tls:HOST:PORT`
    Tls(String),
    /// `unix:PATH`
    Unix(PathBuf),
}

/// Why a text is no URI of a destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no destination; write tls:HOST:PORT, tcp:HOST:PORT or unix:PATH")]
pub struct ParseUriError(String);

impl FromStr for Uri {
    type Err = ParseUriError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseUriError(text.to_owned());
        match text.split_once(':').ok_or_else(wrong)? {
            ("tcp", address) if is_address(address) => Ok(Self::Tcp(address.to_owned())),
            ("tls", address) if is_address(address) => Ok(Self::Tls(address.to_owned())),
            ("unix", path) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => Err(wrong()),
        }
    }
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Tls(address) => write!(f, "tls:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// How pages are written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EncodingChoice {
    /// As they are, but for zeros.
    #[default]
    None,
    /// By whatever costs least, as measured, a run of pages at a time.
    Auto,
    /// As what has changed since they were sent last.
    Delta,
    /// Compressed by LZ4.
    Lz4,
    /// Compressed by Zstandard.
    Zstd,
}

/// How one migration is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where to.
    pub uri: Uri,
    /// Who may take part, and whether others can look on.
    pub security: Security,
    /// Who decides; [`Policy::Off`] when auto-converge is off.
    pub policy: Policy,
    /// What it may cost.
    pub limits: Limits,
    /// The parameters of [`Policy::Stepped`]; the other policies have none.
    pub stepped: SteppedParameters,
    /// The most that may leave a second; `None` for as much as the link takes.
    pub max_bandwidth: Option<ByteRate>,
    /// How many connections carry pages, 1 to 128.
    pub channels: u16,
    /// Only as many of them do as make it faster, which is measured in the first pass.
    pub channels_by_speed: bool,
    /// How pages are written down.
    pub encoding: EncodingChoice,
    /// Compare a digest of guest memory and state at both ends before the guest is given away. Costs downtime.
    pub verify: bool,
    /// Hand the memory itself over to a process of this host, over a Unix socket: nothing is copied, and neither channels, nor
    /// encodings, nor the bandwidth, nor the policy matter.
    pub hand_over: bool,
    /// How long to wait for the other side before the migration fails.
    pub peer_timeout: Duration,
}

impl Options {
    /// A migration to `uri` with everything as it is by default.
    #[must_use]
    pub fn to(uri: Uri) -> Self {
        Self {
            uri,
            security: Security::default(),
            policy: Policy::default(),
            limits: Limits::default(),
            stepped: SteppedParameters::default(),
            max_bandwidth: None,
            channels: 1,
            channels_by_speed: false,
            encoding: EncodingChoice::None,
            verify: false,
            hand_over: false,
            peer_timeout: Duration::from_secs(10),
        }
    }
}

/// A change to a migration under way; what is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Adjustment {
    /// The most that may leave a second; `Some(None)` lifts the limit.
    pub max_bandwidth: Option<Option<ByteRate>>,
    /// What it may cost.
    pub limits: Option<Limits>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_one_channel_is_worth_trying_only_where_one_could_not_carry_it() {
        let (slow, fast) = (Some(ByteRate::new(125e6)), Some(ByteRate::new(12.5e9)));
        assert_eq!((most_channels_with(32, slow), most_channels_with(32, fast)), (1, 8));
        let of = |processors| most_channels_with(processors, None);
        assert_eq!([1, 2, 4, 8, 16, 128].map(of), [1, 2, 2, 4, 8, 8]);
    }
}
