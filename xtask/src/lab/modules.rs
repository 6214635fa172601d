//! Kernel modules, each after those that it needs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of one kernel.
#[derive(Debug)]
pub(super) struct Modules(BTreeMap<String, PathBuf>);

impl Modules {
    /// All modules below `folder`.
    pub(super) fn below(folder: &Path) -> Result<Self, String> {
        let mut modules = BTreeMap::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder)
                .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
            for path in entries.flatten().map(|entry| entry.path()) {
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                } else if let Some(name) = module_name(&path) {
                    modules.insert(name, path);
                }
            }
        }
        Ok(Self(modules))
    }

    /// The files of `wanted` and of all that they need, in an order in which they can be loaded.
    pub(super) fn with_needs(&self, wanted: &[&str]) -> Result<Vec<PathBuf>, String> {
        let mut order = Vec::new();
        for name in wanted {
            self.visit(name, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, name: &str, order: &mut Vec<PathBuf>) -> Result<(), String> {
        let path = self.0.get(name).ok_or_else(|| format!("the kernel has no module {name}"))?;
        if order.contains(path) {
            return Ok(());
        }
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for need in needs(&bytes) {
            self.visit(&need, order)?;
        }
        order.push(path.clone());
        Ok(())
    }
}

/// A module's name, in which `-` and `_` are the same.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".ko")?;
    Some(name.replace('-', "_"))
}

/// The modules that the module with these bytes names as its needs.
fn needs(bytes: &[u8]) -> Vec<String> {
    const FIELD: &[u8] = b"\0depends=";
    let Some(at) = bytes.windows(FIELD.len()).position(|window| window == FIELD) else {
        return Vec::new();
    };
    let text = bytes[at + FIELD.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    text.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
#[path = "modules_tests.rs"]
mod tests;
