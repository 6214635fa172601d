//! What a vCPU meets outside of memory.

use std::fmt::Debug;
use std::time::Duration;

use landfall_qmp::BalloonStatistics;
use serde::{Deserialize, Serialize};

use super::serial::SavedSerial;
use super::virtio::{
    Ballooning, DiskError, Flusher, NetError, SavedBalloon, SavedConsole, SavedVirtio,
};
use crate::kvm::{KvmError, SavedChipset};
use crate::vcpu::Ending;

/// The devices of a machine, as its vCPUs and a migration see them.
pub trait Board: Debug + Send + Sync {
    /// The guest reads a port. An empty one gives ones, as on a PC.
    fn read_port(&self, port: u16, data: &mut [u8]);

    /// The guest writes a port. An empty one takes everything. Gives the guest's end if the guest asks for it thereby.
    fn write_port(&self, port: u16, data: &[u8]) -> Option<Ending>;

    /// The guest reads where it has no memory: ones where nothing is, as on an empty bus.
    fn read_memory(&self, _address: u64, data: &mut [u8]) {
        data.fill(0xFF);
    }

    /// The guest writes where it has no memory: nowhere where nothing is.
    fn write_memory(&self, _address: u64, _data: &[u8]) {}

    /// Takes what only one machine may have: its disks and taps. Does nothing where it has them already.
    ///
    /// # Errors
    /// When another machine has them.
    fn claim(&self) -> Result<(), DeviceStateError> {
        Ok(())
    }

    /// Lets go of what only one machine may have, so that another one can claim it. The devices are stopped.
    fn let_go(&self) {}

    /// What has little left for [`Board::flush`] to bring to the disks, for as long as it is kept; `None` where there is
    /// nothing to bring.
    fn flusher(&self) -> Option<Flusher> {
        None
    }

    /// Lets the devices work on their own, beside the vCPUs.
    fn start(&self) {}

    /// Returns when no device does anything any more, until [`Board::start`].
    fn stop(&self) {}

    /// Brings what the guest has written to where another host finds it; the devices are stopped.
    ///
    /// # Errors
    /// When a disk fails.
    fn flush(&self) -> Result<(), DeviceStateError> {
        Ok(())
    }

    /// What the guest gives up of its memory, if it can be asked for some.
    fn ballooning(&self) -> Option<&Ballooning> {
        None
    }

    /// Tells the guest that it is asked for something else than before.
    fn ballooning_changed(&self) {}

    /// Has the guest asked how it uses its memory; `None` where it has not answered after `patience`.
    fn balloon_statistics(&self, _patience: Duration) -> Option<BalloonStatistics> {
        None
    }

    /// What of the devices travels; they are stopped.
    ///
    /// # Errors
    /// When the hypervisor does not tell.
    fn save(&self) -> Result<SavedDevices, DeviceStateError>;

    /// Takes the devices' state over; they are stopped.
    ///
    /// # Errors
    /// When it is impossible.
    fn load(&self, saved: &SavedDevices) -> Result<(), DeviceStateError>;
}

/// What of the devices travels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedDevices {
    /// The serial port.
    pub serial: SavedSerial,
    /// Interrupt controllers, timer and clock, where the machine has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chipset: Option<SavedChipset>,
    /// The disks, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<SavedVirtio>,
    /// The network cards, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<SavedVirtio>,
    /// The source of random numbers, where the machine has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<SavedVirtio>,
    /// The balloon, where the machine has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balloon: Option<SavedBalloon>,
    /// The console beside the serial port, where the machine has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<SavedConsole>,
}

/// The saved devices do not fit.
#[derive(Debug, thiserror::Error)]
pub enum DeviceStateError {
    /// More than fits into a serial port.
    #[error("the saved serial port holds more received bytes than its buffer takes")]
    Serial,
    /// A machine with interrupt controllers got a state without.
    #[error(
        "the saved state has no interrupt controllers; source and destination must run the same version of Landfall"
    )]
    NoChipset,
    /// Another number of disks.
    #[error("the saved state has {0} disks, the machine has {1}")]
    Disks(usize, usize),
    /// Another number of network cards.
    #[error("the saved state has {0} network cards, the machine has {1}")]
    Cards(usize, usize),
    /// With a device here, and without it there.
    #[error(
        "the saved state and the machine do not both have {0}; source and destination must run the same version of Landfall"
    )]
    OnlyOne(&'static str),
    /// More than waits for a guest.
    #[error("the saved console holds more that was typed than can wait for the guest")]
    Console,
    /// The guest uses what this version does not have.
    #[error(
        "the guest uses features {0:#x} of a device that this version of Landfall does not have; move it to a newer one"
    )]
    Features(u64),
    /// A queue is nowhere in the guest's memory.
    #[error(
        "the saved queue of a device is none; source and destination must run the same version of Landfall"
    )]
    Queue,
    /// A disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A network card.
    #[error(transparent)]
    Net(#[from] NetError),
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
}
