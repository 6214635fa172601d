//! Over how many connections pages go.

use std::num::NonZeroU8;
use std::str::FromStr;

use landfall_converge::ByteRate;
use landfall_migrate::options::most_channels;
use landfall_qmp::ParametersUpdate;

/// The most of one migration.
const MOST: u8 = 128;

/// How many connections there are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Channels {
    /// As many as make it faster.
    #[default]
    Auto,
    /// So many.
    Exactly(NonZeroU8),
}

impl FromStr for Channels {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count = text.parse::<NonZeroU8>().ok().filter(|count| count.get() <= MOST);
        count.map(Self::Exactly).ok_or_else(|| format!("write auto, or a number from 1 to {MOST}"))
    }
}

impl std::fmt::Display for Channels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => write!(f, "auto"),
            Self::Exactly(count) => write!(f, "{count}"),
        }
    }
}

impl Channels {
    /// Adds what they are for a migration that may use `bandwidth`, from this host.
    pub(crate) fn add_to(self, parameters: &mut ParametersUpdate, bandwidth: Option<ByteRate>) {
        let count = match self {
            Self::Exactly(count) => count.get(),
            Self::Auto => most_channels(bandwidth),
        };
        parameters.multifd_channels = Some(count);
        parameters.channels_by_speed = Some(self == Self::Auto);
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
