//! Disks and network cards, as the owner of a machine describes them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::spec::SpecError;

/// The longest name of an interface.
const LONGEST_NAME: usize = 15;
/// Set in an address that is given out by whoever runs the network, and not by a maker of cards.
const LOCAL: u8 = 2;
/// Set in an address of many.
const GROUP: u8 = 1;

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskSpec {
    /// The file or block device, at the same path on every host that the guest comes to.
    #[schema(value_type = String, example = "/srv/images/web1.img")]
    pub path: PathBuf,
    /// Whether the guest may not write to it; other machines may read it then, too.
    #[serde(default)]
    pub read_only: bool,
}

/// A network card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CardSpec {
    /// The tap at its other end, by the same name on every host that the guest comes to.
    #[schema(min_length = 1, max_length = 15)]
    pub tap: String,
    /// The address that the guest sees, as in `52:54:00:12:34:56`; one that no other card has if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
}

impl DiskSpec {
    pub(super) fn check(&self) -> Result<(), SpecError> {
        // On the command line of a machine what follows a comma says how the disk is used.
        let plain = self.path.to_str().is_some_and(|path| !path.contains(','));
        match self.path.is_absolute() && plain {
            true => Ok(()),
            false => Err(SpecError::Disk(self.path.clone())),
        }
    }

    pub(super) fn flag(&self) -> String {
        let how = if self.read_only { ",readonly" } else { "" };
        format!("--disk={}{how}", self.path.display())
    }
}

impl CardSpec {
    pub(super) fn check(&self) -> Result<(), SpecError> {
        let name = !self.tap.is_empty()
            && self.tap.len() <= LONGEST_NAME
            && !self.tap.contains(|c: char| matches!(c, '/' | ',' | '\0') || c.is_whitespace());
        if !name {
            return Err(SpecError::Tap(self.tap.clone()));
        }
        match &self.mac {
            Some(mac) if !is_address(mac) => Err(SpecError::Mac(mac.clone())),
            _ => Ok(()),
        }
    }

    /// Gives the card an address if it has none: one that is drawn at each start would be another card to the guest.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.mac.is_none() {
            let mut bytes = [0; 6];
            File::open("/dev/urandom")?.read_exact(&mut bytes)?;
            bytes[0] = bytes[0] & !GROUP | LOCAL;
            self.mac = Some(bytes.map(|byte| format!("{byte:02x}")).join(":"));
        }
        Ok(())
    }

    pub(super) fn flag(&self) -> String {
        format!("--net={self}")
    }
}

impl fmt::Display for CardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tap={}", self.tap)?;
        self.mac.iter().try_for_each(|mac| write!(f, ",mac={mac}"))
    }
}

/// Whether it is the address of one card.
fn is_address(text: &str) -> bool {
    let byte = |part: &str| {
        let two = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        two.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    bytes.is_some_and(|it| it.len() == 6 && it[0] & GROUP == 0 && it.iter().any(|byte| *byte != 0))
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
