//! A tap: an interface of this host at whose other end is a guest.

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::mac::{Mac, ParseMacError};

/// A network card as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetChoice {
    /// The tap, by the same name on every host that the guest comes to.
    pub tap: String,
    /// The address that the guest sees. It keeps it wherever it goes.
    pub mac: Mac,
}

/// Why a text names no network card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetError {
    /// Not written as it should be.
    #[error("'{0}' is no network card; write tap=NAME or tap=NAME,mac=ADDRESS")]
    Form(String),
    /// Its address.
    #[error(transparent)]
    Mac(#[from] ParseMacError),
    /// None was given, and none can be made up.
    #[error("the system has no random numbers; give the card an address: tap=NAME,mac=ADDRESS")]
    Random,
}

impl FromStr for NetChoice {
    type Err = ParseNetError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseNetError::Form(text.to_owned());
        let (tap, mac) = text.split_once(',').map_or((text, None), |(tap, mac)| (tap, Some(mac)));
        let tap = tap.strip_prefix("tap=").ok_or_else(wrong)?;
        // It must fit into the request with a zero behind it.
        if tap.is_empty() || tap.len() >= libc::IFNAMSIZ || tap.contains(['/', '\0']) {
            return Err(wrong());
        }
        let mac = match mac {
            Some(mac) => mac.strip_prefix("mac=").ok_or_else(wrong)?.parse()?,
            None => Mac::random().map_err(|_| ParseNetError::Random)?,
        };
        Ok(Self { tap: tap.to_owned(), mac })
    }
}

impl fmt::Display for NetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tap={},mac={}", self.tap, self.mac)
    }
}

/// Why a network card cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// There is no such tap.
    #[error(
        "this host has no interface {0}; make it with: ip tuntap add dev {0} mode tap user USER"
    )]
    Missing(String),
    /// Another process has it.
    #[error("the tap {0} is in use by another process; end that one first")]
    InUse(String),
    /// It cannot be had.
    #[error(
        "the tap {0} cannot be used; it must be one (mode tap, one queue) that belongs to this user"
    )]
    Refused(String, #[source] io::Error),
    /// It cannot be watched.
    #[error("the system lets no tap be watched; raise the limit on open files")]
    Watch(#[source] io::Error),
}

const DEVICE: &str = "/dev/net/tun";

/// Whether this host has an interface of this name. A tap that is asked for and is not there would be made, and lead nowhere.
pub(super) fn exists(name: &str) -> bool {
    // SAFETY: the text ends with a zero and lives for as long as the call lasts.
    CString::new(name).is_ok_and(|name| unsafe { libc::if_nametoindex(name.as_ptr()) } != 0)
}

/// Takes hold of a tap, which only one process can: each read then gives one frame, and each write is one.
pub(super) fn attach(name: &str) -> Result<File, NetError> {
    if !exists(name) {
        return Err(NetError::Missing(name.to_owned()));
    }
    open_as(name).map_err(|error| match error.raw_os_error() {
        Some(libc::EBUSY) => NetError::InUse(name.to_owned()),
        _ => NetError::Refused(name.to_owned(), error),
    })
}

/// Opens a tap, which is made if there is none of this name.
pub(super) fn open_as(name: &str) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DEVICE)?;
    // SAFETY: zeros are a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One place is left for the zero behind the name.
    for (place, byte) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).unwrap_or_default();
    // SAFETY: the descriptor is open, and the structure lives for as long as the call lasts and is the one that it takes.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if result == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
