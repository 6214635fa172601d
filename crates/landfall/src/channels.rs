//! Over how many connections pages go.

use std::num::NonZeroU8;
use std::str::FromStr;
use std::thread::available_parallelism;

use landfall_converge::ByteRate;

/// The most of one migration.
const MOST: u8 = 128;
/// What one connection carries on any host: below this, further ones only cost.
const ONE_CARRIES: f64 = 1e9;
/// More than these were never faster by themselves.
const MOST_BY_ITSELF: usize = 8;

/// How many connections there are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Channels {
    /// As many as the limit on bandwidth and the processors call for.
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
    /// The number for a migration that may use `bandwidth`, from this host.
    pub(crate) fn number(self, bandwidth: Option<ByteRate>) -> u8 {
        let processors = available_parallelism().map_or(1, usize::from);
        self.number_on(processors, bandwidth)
    }

    fn number_on(self, processors: usize, bandwidth: Option<ByteRate>) -> u8 {
        match self {
            Self::Exactly(count) => count.get(),
            Self::Auto if bandwidth.is_some_and(|rate| rate.bytes_per_second() <= ONE_CARRIES) => 1,
            // Half of them: the guest runs here, too.
            Self::Auto => u8::try_from((processors / 2).clamp(1, MOST_BY_ITSELF)).unwrap_or(1),
        }
    }
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
