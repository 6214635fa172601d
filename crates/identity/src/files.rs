//! Files of certificates and keys.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::IdentityError;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner: a key.
    Owner,
    /// All: a certificate.
    All,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::All => 0o644,
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::Read { path: path.to_owned(), source })
}

/// Makes a directory that nobody else looks into, unless there is one.
pub(crate) fn make_directory(path: &Path) -> Result<(), IdentityError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
}

/// Writes a file that was not there.
pub(crate) fn write_new(path: &Path, text: &str, readers: Readers) -> Result<(), IdentityError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(readers.mode())
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => IdentityError::Exists { path: path.to_owned() },
        _ => IdentityError::Write { path: path.to_owned(), source },
    })
}

/// Puts another file in the place of one: whoever reads it meanwhile finds the old one or the new one.
pub(crate) fn replace(path: &Path, text: &str, readers: Readers) -> Result<(), IdentityError> {
    let beside = path.with_extension("new");
    // Left behind by one that was interrupted, if it is there.
    let _ = fs::remove_file(&beside);
    write_new(&beside, text, readers)?;
    fs::rename(&beside, path)
        .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
}

/// Whether there is something that [`write_new`] would refuse to write over.
pub(crate) fn must_not_exist(path: &Path) -> Result<(), IdentityError> {
    if path.exists() { Err(IdentityError::Exists { path: path.to_owned() }) } else { Ok(()) }
}
