//! The registers by which a guest sets a device up, as the standard has them for devices at a fixed address.

use virtio_queue::{Queue, QueueT as _};

use super::{DeviceMemory, EVENT_INDEX, VERSION_1};

pub(super) const MAGIC: u64 = 0x000;
pub(super) const VERSION: u64 = 0x004;
pub(super) const KIND: u64 = 0x008;
pub(super) const VENDOR: u64 = 0x00C;
pub(super) const OFFERED: u64 = 0x010;
pub(super) const OFFERED_HALF: u64 = 0x014;
pub(super) const AGREED: u64 = 0x020;
pub(super) const AGREED_HALF: u64 = 0x024;
pub(super) const QUEUE_SELECT: u64 = 0x030;
pub(super) const QUEUE_MOST: u64 = 0x034;
pub(super) const QUEUE_SIZE: u64 = 0x038;
pub(super) const QUEUE_READY: u64 = 0x044;
pub(super) const QUEUE_NOTIFY: u64 = 0x050;
pub(super) const INTERRUPTS: u64 = 0x060;
pub(super) const INTERRUPTS_SEEN: u64 = 0x064;
pub(super) const STATUS: u64 = 0x070;
pub(super) const DESCRIPTORS_LOW: u64 = 0x080;
pub(super) const DESCRIPTORS_HIGH: u64 = 0x084;
pub(super) const AVAILABLE_LOW: u64 = 0x090;
pub(super) const AVAILABLE_HIGH: u64 = 0x094;
pub(super) const USED_LOW: u64 = 0x0A0;
pub(super) const USED_HIGH: u64 = 0x0A4;
/// The length of memory that device and guest would share, of which there is none.
pub(super) const SHARED_LOW: u64 = 0x0B0;
pub(super) const SHARED_HIGH: u64 = 0x0B4;
/// Another number whenever what the device is like has changed.
pub(super) const GENERATION: u64 = 0x0FC;
/// What the device is like begins here.
pub(super) const CONFIGURATION: u64 = 0x100;

/// "virt".
pub(super) const MAGIC_VALUE: u32 = 0x7472_6976;
pub(super) const THIS_VERSION: u32 = 2;
/// "LNDF".
pub(super) const THIS_VENDOR: u32 = 0x4644_4E4C;

/// Bits of the status.
pub(super) const DRIVER_READY: u32 = 4;
pub(super) const FEATURES_AGREED: u32 = 8;
pub(super) const NEEDS_RESET: u32 = 64;

/// Why a guest is interrupted.
pub(super) const BUFFERS_USED: u32 = 1;
pub(super) const CHANGED: u32 = 2;

/// How far the guest's driver has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    pub(super) status: u32,
    pub(super) offered_half: u32,
    pub(super) agreed_half: u32,
    pub(super) features: u64,
    pub(super) selected_queue: u32,
}

impl Progress {
    /// Whether the guest's requests are to be carried out.
    pub(super) fn is_ready(self) -> bool {
        self.status & DRIVER_READY != 0 && self.status & NEEDS_RESET == 0
    }

    /// The half of `features` that the guest reads now.
    pub(super) fn half(self, features: u64) -> u32 {
        match self.offered_half {
            0 => lower(features),
            1 => lower(features >> 32),
            _ => 0,
        }
    }

    /// The guest agrees to half of the features.
    pub(super) fn agree(&mut self, half: u32) {
        if self.status & FEATURES_AGREED != 0 {
            return;
        }
        let shift = match self.agreed_half {
            0 => 0,
            1 => 32,
            _ => return,
        };
        self.features = self.features & !(u64::from(u32::MAX) << shift) | u64::from(half) << shift;
    }

    /// The guest writes its status, other than to begin anew.
    pub(super) fn advance(&mut self, status: u32, offered: u64) {
        let acceptable = self.features & !offered == 0 && self.features & VERSION_1 != 0;
        let refused = if acceptable { 0 } else { FEATURES_AGREED };
        self.status = status & !refused | self.status & NEEDS_RESET;
    }
}

fn lower(value: u64) -> u32 {
    u32::try_from(value & u64::from(u32::MAX)).unwrap_or(0)
}

/// The guest writes a register of a queue.
pub(super) fn set_up(
    queue: &mut Queue,
    register: u64,
    value: u32,
    features: u64,
    memory: &DeviceMemory,
) {
    match register {
        QUEUE_READY => {
            queue.set_event_idx(features & EVENT_INDEX != 0);
            queue.set_ready(value == 1);
            if value == 1 && !queue.is_valid(memory) {
                queue.set_ready(false);
            }
        }
        // It would have to stop using it first.
        _ if queue.ready() => {}
        QUEUE_SIZE => queue.set_size(u16::try_from(value).unwrap_or(0)),
        DESCRIPTORS_LOW => queue.set_desc_table_address(Some(value), None),
        DESCRIPTORS_HIGH => queue.set_desc_table_address(None, Some(value)),
        AVAILABLE_LOW => queue.set_avail_ring_address(Some(value), None),
        AVAILABLE_HIGH => queue.set_avail_ring_address(None, Some(value)),
        USED_LOW => queue.set_used_ring_address(Some(value), None),
        USED_HIGH => queue.set_used_ring_address(None, Some(value)),
        _ => {}
    }
}
