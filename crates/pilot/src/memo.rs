//! What a pilot has changed in a QEMU, kept where the next one finds it, should this one be killed.

use std::path::PathBuf;
use std::{fs, io};

use landfall_qmp::CapabilityState;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A file for one QEMU, which is there as long as that QEMU is not as it was found.
#[derive(Clone, Debug)]
pub struct Memo(Option<PathBuf>);

/// What stands in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// Parameters, as they were found.
    pub(crate) found: Map<String, Value>,
    /// The same, as they were set last.
    pub(crate) set: Map<String, Value>,
    /// The same, as they were before that: whoever is killed may not have come to set them.
    pub(crate) before: Map<String, Value>,
    /// Capabilities, as they were found: now they are the other way round.
    pub(crate) capabilities: Vec<CapabilityState>,
}

impl Changed {
    /// Whether a parameter that is `now` so is still as it was left.
    pub(crate) fn left(&self, name: &str, now: &Value) -> bool {
        [&self.set, &self.before].into_iter().any(|values| values.get(name) == Some(now))
    }
}

impl Memo {
    /// Kept at `path`; the folder is made when it is needed.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(Some(path))
    }

    /// Nothing is kept.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// What was left behind. A file that cannot be understood is as good as none.
    pub(crate) fn read(&self) -> Option<Changed> {
        serde_json::from_slice(&fs::read(self.0.as_ref()?).ok()?).ok()
    }

    /// Keeps it. Where that fails a pilot steers all the same: it matters only to one that is killed.
    pub(crate) fn write(&self, changed: &Changed) {
        if let Err(error) = self.replace(changed) {
            tracing::warn!("what was changed in QEMU is not remembered: {error}");
        }
    }

    fn replace(&self, changed: &Changed) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Half of it would be understood as nothing.
        let unfinished = path.with_extension("new");
        fs::write(&unfinished, serde_json::to_vec(changed)?)?;
        fs::rename(&unfinished, path)
    }

    /// Everything is as it was found.
    pub(crate) fn forget(&self) {
        if let Some(path) = &self.0 {
            // It fails where nothing was written.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
#[path = "memo_tests.rs"]
mod tests;
