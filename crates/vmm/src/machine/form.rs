//! How what travels of a machine is written, and what of it a version of Landfall can read.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How configurations and states are written now. A newer one of these reads the form before its own as well.
///
/// Something new that a guest has is a field that is left out where the guest does not have it, and needs no new form: whoever does
/// not know the field refuses it by its name. A new form is for what has another meaning than before.
///
/// 1. without a number.
/// 2. says its number.
pub(super) const FORM: u32 = 2;

/// The form of what does not say it.
pub(super) fn first_form() -> u32 {
    1
}

/// Why something that has come is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// Fields of which this version knows nothing.
    #[error(
        "the guest has what this version of Landfall does not know, and would lose: {0}; choose a destination with a newer version"
    )]
    Unknown(String),
    /// All fields are known, and mean something else.
    #[error(
        "the guest comes from a newer version of Landfall (form {0}, and this one reads 1 to {FORM}); choose a destination with a newer version"
    )]
    Newer(u32),
    /// It is nothing of the kind.
    #[error(
        "it cannot be read; source and destination must be versions of Landfall that follow each other"
    )]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(default = "first_form")]
    form: u32,
}

/// Reads all of `bytes`; whatever would be left out is an error.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FormError> {
    let mut unknown = Vec::new();
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = serde_ignored::deserialize(&mut from, |path| {
        // What may be there or not is no part of a name.
        unknown.push(path.to_string().replace(".?", "").replace("?.", ""));
    });
    // What is not known is more to the point than what follows from it.
    if !unknown.is_empty() {
        return Err(FormError::Unknown(unknown.join(", ")));
    }
    let Numbered { form } = serde_json::from_slice(bytes)?;
    if form > FORM {
        return Err(FormError::Newer(form));
    }
    let value = value?;
    from.end()?;
    Ok(value)
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
