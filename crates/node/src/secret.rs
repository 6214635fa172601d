//! What opens doors: drawn, kept for its owner alone, compared.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use ring::digest;
use tempfile::{NamedTempFile, PersistError};

/// The secret in the file at `path`; a new one is drawn where there is none. Only the user who runs the node may read it.
///
/// # Errors
/// When the file cannot be read or made.
pub(crate) fn kept(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::read_to_string(path) {
        Ok(kept) => return Ok(kept.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let drawn = draw()?;
    // Named once it is whole: two nodes that are started together know each other by one key, and none is ever empty.
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(drawn.as_bytes())?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(drawn),
        Err(PersistError { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(fs::read_to_string(path)?.trim().to_owned())
        }
        Err(PersistError { error, .. }) => Err(error),
    }
}

/// A new one.
pub(crate) fn draw() -> io::Result<String> {
    let mut bytes = [0; 24];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

/// By what it is known again without being kept: its SHA-256. A drawn secret is too long to be guessed from it.
pub(crate) fn trace(secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

/// Compares without telling by its duration how much was right.
pub(crate) fn same(shown: &str, kept: &str) -> bool {
    let different = shown.bytes().zip(kept.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    shown.len() == kept.len() && !kept.is_empty() && different == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
