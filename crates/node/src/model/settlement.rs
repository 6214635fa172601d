//! What an operator decides over a guest in doubt.

use serde::{Deserialize, Serialize};

/// The longest note.
const MOST_LETTERS: usize = 500;

/// What becomes of a guest in doubt on the node that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It runs there. Only when it is certain that it runs, and will run, nowhere else.
    Run,
    /// It is discarded there, and runs on the other node.
    Discard,
}

/// A decision as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settling {
    /// What becomes of the guest.
    pub decision: Decision,
    /// Why, for those who ask later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// Why a decision cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a note is a text of up to {MOST_LETTERS} letters on one line; shorten it")]
pub struct NoteError;

impl Settling {
    /// Whether it can be kept.
    ///
    /// # Errors
    /// When the note is too long to be shown, or has more in it than text.
    pub fn check(&self) -> Result<(), NoteError> {
        let note = self.note.as_deref().unwrap_or_default();
        match note.chars().count() <= MOST_LETTERS && !note.contains(char::is_control) {
            true => Ok(()),
            false => Err(NoteError),
        }
    }
}

/// A decision that was made, with everything that somebody would ask later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Settlement {
    /// What becomes of the guest on the node that was asked.
    pub decision: Decision,
    /// Whose token it was decided by.
    pub by: String,
    /// Why, in their words.
    #[schema(nullable)]
    pub note: Option<String>,
    /// What the node knew when it was decided.
    pub known: String,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
}

impl Settlement {
    /// Who has decided it, and why.
    #[must_use]
    pub fn whose(&self) -> String {
        let note = self.note.as_ref().map(|note| format!(", since: {note}"));
        format!("{}{}", self.by, note.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(note: &str) -> Result<(), NoteError> {
        Settling { decision: Decision::Run, note: Some(note.to_owned()) }.check()
    }

    #[test]
    fn a_note_is_one_line_that_can_be_shown() {
        for good in ["", "host b has burnt down", &"ä".repeat(500)] {
            assert_eq!(with(good), Ok(()), "{good}");
        }
        for bad in ["two\nlines", "\u{1b}[2J", &"n".repeat(501)] {
            assert_eq!(with(bad), Err(NoteError), "{bad:?}");
        }
    }
}
