//! What a guest is.

use serde::{Deserialize, Serialize};

use crate::devices::{DiskChoice, NetChoice};
use crate::pc::Processor;
use crate::probe::Workload;

/// What a guest is.
#[derive(Clone, Debug, PartialEq)]
pub enum Guest {
    /// The probe, and what it does.
    Probe(Workload),
    /// A kernel in a PC.
    Kernel(KernelGuest),
}

/// What a PC has beside its memory and its vCPUs. The kernel itself is in memory and travels as that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelGuest {
    /// What the guest has seen of its processor. Known once its machine was made; sources of an earlier version do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
    /// Its disks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskChoice>,
    /// Its network cards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<NetChoice>,
    /// Whether it has a source of random numbers. Guests of earlier versions have none.
    #[serde(default)]
    pub random: bool,
    /// Whether it can be asked for memory. Guests of earlier versions cannot.
    #[serde(default, skip_serializing_if = "is_not")]
    pub balloon: bool,
    /// Whether it has a console beside the serial port.
    #[serde(default, skip_serializing_if = "is_not")]
    pub console: bool,
}

/// What a guest does not have is left out, so that versions which do not know it take the guest.
fn is_not(has: &bool) -> bool {
    !has
}
