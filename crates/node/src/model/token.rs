//! Tokens that open a node to those who are given them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::TokenName;

/// What a token lets its holder do; each scope also what those before it do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To look at everything but the tokens.
    Read,
    /// To start, stop and migrate machines, and to drain the node.
    Operate,
    /// To add, adopt and forget machines, and to change policies and tokens.
    Admin,
}

/// Why a text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no scope; use read, operate or admin")]
pub struct ScopeError(String);

impl Scope {
    /// By its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scope {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let all = [Self::Read, Self::Operate, Self::Admin];
        let found = all.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| ScopeError(text.to_owned()))
    }
}

/// A token that was given out, without what opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// What it is called.
    pub name: TokenName,
    /// What it lets its holder do.
    pub scope: Scope,
    /// When it was drawn: milliseconds since 1970.
    pub drawn_ms: u64,
}

/// A token that is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it shall be called.
    pub name: TokenName,
    /// What it shall let its holder do.
    pub scope: Scope,
}

/// A token that was drawn just now. What opens is told this once, and not kept.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DrawnToken {
    /// What is known of it from now on.
    #[serde(flatten)]
    pub token: Token,
    /// What opens the node.
    pub secret: String,
}

impl fmt::Debug for DrawnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.token.fmt(f)
    }
}
