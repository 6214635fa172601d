//! Devices by the virtio standard, version 1.2: those that a guest's own drivers know, and that cost few exits.

mod announcement;
mod balloon;
mod ballooning;
mod block;
mod configuration;
mod console;
mod device;
mod disk;
mod flusher;
mod mac;
mod net;
mod port;
mod random;
mod registers;
mod saved;
mod tap;
#[cfg(test)]
mod test_driver;
mod typed;
mod worker;

use std::io;
use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::GuestMemoryMmap;

use crate::memory::OwnWrites;

pub(crate) use self::announcement::Announcement;
pub(crate) use self::balloon::Balloon;
pub use self::ballooning::Ballooning;
pub(crate) use self::block::Block;
use self::configuration::Configuration;
pub(crate) use self::console::Console;
pub(crate) use self::device::VirtioDevice;
pub use self::disk::{Disk, DiskChoice, DiskError, ParseDiskError};
pub use self::flusher::Flusher;
pub use self::mac::{Mac, ParseMacError};
pub(crate) use self::net::Net;
pub use self::port::Port;
pub(crate) use self::random::Random;
pub use self::saved::{SavedBalloon, SavedConsole, SavedQueue, SavedVirtio};
pub use self::tap::{NetChoice, NetError, ParseNetError};
pub(crate) use self::typed::Typed;

/// Guest memory in which every write of a device is noted.
pub(crate) type DeviceMemory = GuestMemoryMmap<OwnWrites>;

/// The device follows the standard, and not what was before it.
pub(crate) const VERSION_1: u64 = 1 << 32;
/// Each side says when it wants to be told next.
pub(crate) const EVENT_INDEX: u64 = 1 << 29;
/// Buffers may be named in a table of their own.
pub(crate) const INDIRECT: u64 = 1 << 28;

/// Entries in a queue.
pub(crate) const QUEUE_SIZE: u16 = 256;

/// What the guest has put into a queue is no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// The queue or its descriptors.
    #[error(transparent)]
    Queue(#[from] virtio_queue::Error),
    /// Less in it than a request has.
    #[error("a request is too short")]
    Short(#[from] io::Error),
    /// More in it than a request has: this many bytes.
    #[error("a request of {0} bytes is too long")]
    Long(usize),
}

/// What a device does, apart from how it is reached.
pub(crate) trait Model: Send {
    /// Its number in the standard.
    fn kind(&self) -> u32;

    /// The features that it offers, beside those of every device here.
    fn features(&self) -> u64;

    /// What the guest can read of how the device is made.
    fn configuration(&self) -> Arc<dyn Configuration>;

    /// How many queues it has.
    fn queues(&self) -> usize {
        1
    }

    /// What else than the guest gives it work.
    fn waker(&self) -> Option<Arc<dyn Waker>> {
        None
    }

    /// Whether it would do something with a request in `queue` now.
    fn has_work(&mut self, _queue: usize) -> bool {
        true
    }

    /// Carries out one request in `queue`, of a guest that has agreed to `features`: how many bytes were written for the
    /// guest to read.
    fn serve(
        &mut self,
        memory: &DeviceMemory,
        queue: usize,
        request: &DescriptorChain<&DeviceMemory>,
        features: u64,
    ) -> Result<u32, Malformed>;
}

/// What else than the guest gives a device work.
pub(crate) trait Waker: Send + Sync {
    /// Returns when there is some; false when there will be none any more.
    fn wait(&self) -> bool;

    /// Ends the waiting, now and for good.
    fn end(&self);
}
