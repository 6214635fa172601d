//! An initial RAM disk: files in the format that Linux unpacks (cpio, "new ASCII").

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// The archive, as it grows.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: BTreeSet<String>,
}

impl Archive {
    /// An archive with a console, without which the first program cannot speak, and the folders that it mounts things on.
    pub(super) fn with_console() -> Self {
        let mut archive = Self::default();
        for folder in ["bin", "dev", "proc", "sys", "tmp"] {
            archive.folder(folder);
        }
        archive.add("dev/console", CHARACTER_DEVICE, &[], (5, 1));
        archive
    }

    /// Adds a folder, and those that it is in.
    pub(super) fn folder(&mut self, path: &str) {
        if self.folders.insert(path.to_owned()) {
            self.add(path, DIRECTORY, &[], (0, 0));
        }
    }

    /// Adds a file that anybody may run.
    pub(super) fn program(&mut self, path: &str, bytes: &[u8]) {
        self.add(path, FILE | 0o755, bytes, (0, 0));
    }

    /// Adds a file of this host at `path`, with its rights.
    pub(super) fn copy(&mut self, from: &Path, path: &str) -> Result<(), String> {
        let unreadable = |error| format!("{} cannot be read: {error}", from.display());
        let mode = fs::metadata(from).map_err(unreadable)?.permissions().mode() & 0o777;
        self.add(path, FILE | mode, &fs::read(from).map_err(unreadable)?, (0, 0));
        Ok(())
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[], (0, 0));
        self.bytes
    }

    fn add(&mut self, path: &str, mode: u32, bytes: &[u8], device: (u32, u32)) {
        // What is in a folder that is not there is left out without a word.
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
        self.entries += 1;
        let length = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // Number, mode, owner, group, links, time, size, device of the file, device that it is, length of the name, sum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length(bytes.len()),
            0,
            0,
            device.0,
            device.1,
            length(path.len() + 1),
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(bytes);
        self.pad();
    }

    /// Names and files begin at multiples of four.
    fn pad(&mut self) {
        let length = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(length, 0);
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
