//! What a machine needs of a host, as far as its description says it.

use std::path::{Path, PathBuf};

use landfall_converge::Bytes;

use super::devices::DiskSpec;
use super::spec::{MachineSpec, NativeSpec, QemuSpec};

/// What a machine needs of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The guest's memory; not known where a QEMU's command does not say it in a way that is understood.
    pub memory: Option<Bytes>,
    /// Its disks, at the same paths on every host.
    pub disks: Vec<DiskSpec>,
    /// Files that it is started from, and that a destination reads again.
    pub files: Vec<PathBuf>,
    /// Taps that must be there.
    pub taps: Vec<String>,
    /// Bridges that taps of its own are put to.
    pub bridges: Vec<String>,
    /// What it needs, and what cannot be looked at beforehand.
    pub unknown: Vec<String>,
}

impl Needs {
    /// What this machine needs.
    #[must_use]
    pub fn of(machine: &MachineSpec) -> Self {
        match machine {
            MachineSpec::Native(native) => Self::of_native(native),
            MachineSpec::Qemu(qemu) => Self::of_qemu(qemu),
        }
    }

    /// The kernel and the RAM disk are in the guest's memory by now.
    fn of_native(native: &NativeSpec) -> Self {
        let memory = Some(native.memory.value());
        let Some(kernel) = &native.kernel else { return Self { memory, ..Self::default() } };
        Self {
            memory,
            disks: kernel.disks.clone(),
            taps: kernel.network.iter().map(|card| card.tap.clone()).collect(),
            ..Self::default()
        }
    }

    fn of_qemu(qemu: &QemuSpec) -> Self {
        let mut needs = Self { memory: Some(Bytes(128 << 20)), ..Self::default() };
        let mut words = qemu.command.iter().map(String::as_str);
        needs.files.extend(words.next().map(PathBuf::from));
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            // QEMU takes its options with one hyphen or two.
            let Some(option) = word.strip_prefix('-') else { continue };
            let option = option.strip_prefix('-').unwrap_or(option);
            if let Some(value) = words.next_if(|next| !next.starts_with('-')) {
                needs.of_option(option, value);
            }
        }
        needs.files.retain(|path| path.is_absolute());
        needs.disks.retain(|disk| disk.path.is_absolute());
        needs
    }

    fn of_option(&mut self, option: &str, value: &str) {
        let values = Values::of(value);
        match option {
            "m" => self.memory = values.first().or(values.get("size")).and_then(mebibytes),
            "drive" | "blockdev" => self.disks.extend(disk(&values)),
            "hda" | "hdb" | "hdc" | "hdd" | "sd" | "mtdblock" | "pflash" => {
                self.disks.push(DiskSpec { path: value.into(), read_only: false });
            }
            "cdrom" => self.disks.push(DiskSpec { path: value.into(), read_only: true }),
            "kernel" | "initrd" | "dtb" | "bios" => self.files.push(value.into()),
            "netdev" | "nic" | "net" => self.of_card(&values),
            "object" | "device" | "fw_cfg" | "smbios" | "acpitable" => {
                let keys = ["file", "dir", "mem-path", "romfile"];
                self.files.extend(keys.iter().filter_map(|key| values.get(key)).map(PathBuf::from));
            }
            _ => {}
        }
    }

    fn of_card(&mut self, values: &Values) {
        let kind = values.get("type").or(values.first());
        if !matches!(kind, Some("tap" | "bridge")) {
            return;
        }
        let given = ["fd", "fds", "vhostfd"].iter().any(|key| values.get(key).is_some());
        match (values.get("ifname"), values.get("br")) {
            (Some(tap), _) => self.taps.push(tap.to_owned()),
            (None, Some(bridge)) => self.bridges.push(bridge.to_owned()),
            (None, None) if kind == Some("bridge") => self.bridges.push("br0".to_owned()),
            (None, None) => self.unknown.push(
                if given {
                    "a network card that was handed to it as an open file by whoever started it, which a destination does not get"
                } else {
                    "a tap that QEMU makes for itself, which a script of the host must put to its network"
                }
                .to_owned(),
            ),
        }
    }
}

/// The image of a drive, if it is a file or a block device of the host.
fn disk(values: &Values) -> Option<DiskSpec> {
    let path = ["file", "filename", "file.filename"].iter().find_map(|key| values.get(key))?;
    let yes = |key: &str| matches!(values.get(key), Some("on" | "true" | "yes"));
    let read_only = yes("readonly") || yes("read-only") || values.get("media") == Some("cdrom");
    let path = path.strip_prefix("file:").unwrap_or(path);
    Some(DiskSpec { path: Path::new(path).to_owned(), read_only })
}

/// A size as QEMU's `-m` has it: mebibytes where there is no unit.
fn mebibytes(text: &str) -> Option<Bytes> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].to_ascii_uppercase().as_str() {
        "" | "M" | "MB" | "MIB" => 20,
        "K" | "KB" | "KIB" => 10,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).map(Bytes)
}

/// What follows an option: `word,key=value,…` or JSON.
#[derive(Debug, Default)]
struct Values(Vec<(String, String)>);

impl Values {
    fn of(text: &str) -> Self {
        if text.starts_with('{') {
            let mut values = Self::default();
            if let Ok(json) = serde_json::from_str(text) {
                values.read("", &json);
            }
            return values;
        }
        // A comma within a value is written twice.
        let text = text.replace(",,", "\0");
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or(("", part));
            (key.to_owned(), value.replace('\0', ","))
        };
        Self(text.split(',').map(pair).collect())
    }

    fn read(&mut self, prefix: &str, json: &serde_json::Value) {
        for (key, value) in json.as_object().into_iter().flatten() {
            let key = format!("{prefix}{key}");
            match value {
                serde_json::Value::Object(_) => self.read(&format!("{key}."), value),
                serde_json::Value::String(text) => self.0.push((key, text.clone())),
                other => self.0.push((key, other.to_string())),
            }
        }
    }

    /// The word that stands before all keys.
    fn first(&self) -> Option<&str> {
        self.0.first().filter(|(key, _)| key.is_empty()).map(|(_, value)| value.as_str())
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
#[path = "needs_tests.rs"]
mod tests;
