//! What machines, nodes, policies and migrations are called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name; it becomes part of paths, and the path of a Unix socket is short.
const MOST_LETTERS: usize = 40;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no name; use up to {MOST_LETTERS} lower-case letters, digits, dots, underscores and hyphens, and begin with a letter or a digit"
)]
pub struct NameError(String);

fn checked(text: &str) -> Result<String, NameError> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if first && text.len() <= MOST_LETTERS && text.chars().all(inside) {
        Ok(text.to_owned())
    } else {
        Err(NameError(text.to_owned()))
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,39}$")]
        pub struct $name(String);

        impl $name {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                checked(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

names! {
    /// What a machine is called; the same on every node, since it moves between them.
    VmName;
    /// What a node is called.
    NodeName;
    /// What a policy is called.
    PolicyName;
    /// What a token is called.
    TokenName;
    /// What a migration is called: the node that it began on, and a number, as in `a-17`.
    MigrationId;
}

impl MigrationId {
    /// Whether a migration that is called so may have begun on `node`.
    #[must_use]
    pub fn may_begin_on(&self, node: &NodeName) -> bool {
        // Where a node's name is long the number stands alone.
        self.0.rsplit_once('-').is_none_or(|(began_on, _)| began_on == node.as_str())
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
