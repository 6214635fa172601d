//! What of a virtio device travels.

use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueState, QueueT as _};

use super::{DeviceMemory, QUEUE_SIZE};
use crate::devices::DeviceStateError;

/// What of a virtio device travels. The device stands still: what the guest asks for is either done, or not begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedVirtio {
    /// How far the guest's driver has come.
    pub status: u32,
    /// Which half of the features offered the guest reads next.
    pub offered_half: u32,
    /// Which half of the features agreed to the guest writes next.
    pub agreed_half: u32,
    /// The features that the guest has agreed to.
    pub features: u64,
    /// The queue that the guest speaks of.
    pub selected_queue: u32,
    /// Why the guest was interrupted, as far as it has not yet said that it knows.
    pub interrupts: u32,
    /// The queues.
    pub queues: Vec<SavedQueue>,
}

/// What of a balloon travels. Which pages are in it only the guest knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBalloon {
    /// As of every device.
    pub device: SavedVirtio,
    /// Pages that the guest is asked for.
    pub asked: u32,
    /// Pages that it has given up.
    pub actual: u32,
}

/// What of a console travels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedConsole {
    /// As of every device.
    pub device: SavedVirtio,
    /// Typed and not yet read by the guest.
    pub received: Vec<u8>,
}

/// What of a queue travels; its entries are in guest memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedQueue {
    /// How many entries it has.
    pub size: u16,
    /// Whether the guest uses it.
    pub ready: bool,
    /// The next entry that the device takes.
    pub next_available: u16,
    /// The next entry that the device gives back.
    pub next_used: u16,
    /// Whether each side says when it wants to be told next.
    pub event_index: bool,
    /// Guest-physical address of the descriptors.
    pub descriptors: u64,
    /// Guest-physical address of what the guest gives.
    pub available: u64,
    /// Guest-physical address of what the device gives back.
    pub used: u64,
}

impl From<QueueState> for SavedQueue {
    fn from(state: QueueState) -> Self {
        Self {
            size: state.size,
            ready: state.ready,
            next_available: state.next_avail,
            next_used: state.next_used,
            event_index: state.event_idx_enabled,
            descriptors: state.desc_table,
            available: state.avail_ring,
            used: state.used_ring,
        }
    }
}

impl SavedQueue {
    /// The queue again, if it lies in `memory`.
    pub(super) fn queue(&self, memory: &DeviceMemory) -> Result<Queue, DeviceStateError> {
        let state = QueueState {
            max_size: QUEUE_SIZE,
            next_avail: self.next_available,
            next_used: self.next_used,
            event_idx_enabled: self.event_index,
            size: self.size,
            ready: self.ready,
            desc_table: self.descriptors,
            avail_ring: self.available,
            used_ring: self.used,
        };
        let queue = Queue::try_from(state).map_err(|_| DeviceStateError::Queue)?;
        if queue.ready() && !queue.is_valid(memory) {
            return Err(DeviceStateError::Queue);
        }
        Ok(queue)
    }
}
