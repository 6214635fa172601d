//! A network card, as the guest's driver for virtio cards knows it.

use std::io::{self, Read as _};
use std::sync::Arc;

use virtio_queue::DescriptorChain;

use super::port::Port;
use super::{Configuration, DeviceMemory, Malformed, Model, Waker};

/// The device's number in the standard.
const NETWORK: u32 = 1;
/// The guest can read the card's address.
const ADDRESS: u64 = 1 << 5;

/// Its queues: what the guest receives into, and what it sends.
const RECEIVED: usize = 0;
const QUEUES: usize = 2;

/// Before each frame: what would be done for the guest if it had asked for it, and in how many buffers the frame is.
const HEADER: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
/// No interface sends more at a time.
const LONGEST: usize = 64 << 10;

/// A network card.
#[derive(Debug)]
pub(crate) struct Net {
    port: Arc<Port>,
    received: Vec<u8>,
    /// How long the frame is that has been received and that the guest does not have yet.
    waiting: Option<usize>,
    sent: Vec<u8>,
}

impl Net {
    /// A card at `port`.
    pub(crate) fn new(port: Arc<Port>) -> Self {
        Self { port, received: vec![0; LONGEST], waiting: None, sent: Vec::with_capacity(LONGEST) }
    }

    /// Gives the guest the frame that waits. One that does not fit is lost, and the buffer comes back with nothing in it.
    fn give(&mut self, to: &mut (impl io::Write + ?Sized), room: usize) -> io::Result<usize> {
        let Some(length) = self.waiting.take() else { return Ok(0) };
        if HEADER.len() + length > room {
            return Ok(0);
        }
        to.write_all(&HEADER)?;
        to.write_all(&self.received[..length])?;
        Ok(HEADER.len() + length)
    }

    fn send(&mut self, from: &mut impl io::Read) -> io::Result<()> {
        let mut header = HEADER;
        from.read_exact(&mut header)?;
        self.sent.clear();
        from.take(LONGEST as u64).read_to_end(&mut self.sent)?;
        self.port.send(&self.sent);
        Ok(())
    }
}

impl Model for Net {
    fn kind(&self) -> u32 {
        NETWORK
    }

    fn features(&self) -> u64 {
        ADDRESS
    }

    fn configuration(&self) -> Arc<dyn Configuration> {
        Arc::new(self.port.mac().bytes().to_vec())
    }

    fn queues(&self) -> usize {
        QUEUES
    }

    fn waker(&self) -> Option<Arc<dyn Waker>> {
        Some(Arc::clone(&self.port) as _)
    }

    fn has_work(&mut self, queue: usize) -> bool {
        if queue == RECEIVED && self.waiting.is_none() {
            self.waiting = self.port.receive(&mut self.received);
        }
        queue != RECEIVED || self.waiting.is_some()
    }

    fn serve(
        &mut self,
        memory: &DeviceMemory,
        queue: usize,
        request: &DescriptorChain<&DeviceMemory>,
        _features: u64,
    ) -> Result<u32, Malformed> {
        if queue != RECEIVED {
            self.send(&mut request.clone().reader(memory)?)?;
            return Ok(0);
        }
        let mut to = request.clone().writer(memory)?;
        let room = to.available_bytes();
        Ok(u32::try_from(self.give(&mut to, room)?).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
#[path = "net_tests.rs"]
mod tests;
