//! Which dirty log a machine is made with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which dirty log is asked for. It is fixed when a machine is made, for KVM keeps either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DirtyLogChoice {
    /// Whichever serves the guest best on this host.
    #[default]
    Auto,
    /// KVM's rings, one a vCPU: they tell vCPUs apart.
    Ring {
        /// Entries in each ring; `None` for as many as are good. The kernel has a least and a most.
        entries: Option<u32>,
    },
    /// One bit a page.
    Bitmap,
}

impl DirtyLogChoice {
    /// A ring of the size that is good.
    pub const RING: Self = Self::Ring { entries: None };

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl fmt::Display for DirtyLogChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Ring { entries: None } => f.write_str("ring"),
            Self::Ring { entries: Some(entries) } => write!(f, "ring,entries={entries}"),
            Self::Bitmap => f.write_str("bitmap"),
        }
    }
}

impl From<DirtyLogChoice> for String {
    fn from(choice: DirtyLogChoice) -> Self {
        choice.to_string()
    }
}

/// A text is no dirty log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no dirty log; write auto, ring or bitmap (or ring,entries=4096)")]
pub struct ParseDirtyLogError(String);

impl FromStr for DirtyLogChoice {
    type Err = ParseDirtyLogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "ring" => Ok(Self::RING),
            "bitmap" => Ok(Self::Bitmap),
            _ => text
                .strip_prefix("ring,entries=")
                .and_then(|entries| entries.parse().ok())
                .filter(|entries| (1..=1 << 20).contains(entries))
                .map(|entries| Self::Ring { entries: Some(entries) })
                .ok_or_else(|| ParseDirtyLogError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for DirtyLogChoice {
    type Error = ParseDirtyLogError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        for text in ["auto", "ring", "bitmap", "ring,entries=256"] {
            let choice: DirtyLogChoice = text.parse().unwrap();
            assert_eq!(choice.to_string(), text);
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<DirtyLogChoice>(&json).unwrap(), choice);
        }
        for wrong in ["", "rings", "ring,entries=0", "ring,entries=many"] {
            assert!(wrong.parse::<DirtyLogChoice>().is_err(), "{wrong}");
        }
    }
}
