//! A console, as the guest's driver for virtio consoles knows it.

use std::io::{Read as _, Write};
use std::sync::Arc;

use virtio_queue::DescriptorChain;

use super::typed::Typed;
use super::{Configuration, DeviceMemory, Malformed, Model, Waker};

/// The device's number in the standard.
const CONSOLE: u32 = 3;
/// Which queue is for what.
const RECEIVED: usize = 0;
const QUEUES: usize = 2;
/// So much is moved at a time.
const PIECE: usize = 4096;
/// More is not written by one request: Linux has 32 KiB in one.
const MOST: usize = 1 << 20;
/// Columns, rows, number of ports and emergency writes, all of which belong to features that are not offered.
const NOTHING: [u8; 12] = [0; 12];

/// A console.
pub(crate) struct Console {
    typed: Arc<Typed>,
    output: Box<dyn Write + Send>,
}

impl Console {
    /// A console that reads what is `typed`, and writes to `output`.
    pub(crate) fn new(typed: &Arc<Typed>, output: Box<dyn Write + Send>) -> Self {
        Self { typed: Arc::clone(typed), output }
    }

    /// Writes what the guest says. What cannot be written is lost: a guest waits for its console without an end.
    fn say(&mut self, bytes: &[u8]) {
        let written = self.output.write_all(bytes).and_then(|()| self.output.flush());
        if let Err(error) = written {
            tracing::warn!("output of the guest's console is lost: {error}");
        }
    }
}

impl Model for Console {
    fn kind(&self) -> u32 {
        CONSOLE
    }

    fn features(&self) -> u64 {
        0
    }

    fn configuration(&self) -> Arc<dyn Configuration> {
        Arc::new(NOTHING.to_vec())
    }

    fn queues(&self) -> usize {
        QUEUES
    }

    fn waker(&self) -> Option<Arc<dyn Waker>> {
        Some(Arc::clone(&self.typed) as _)
    }

    fn has_work(&mut self, queue: usize) -> bool {
        queue != RECEIVED || self.typed.has_some()
    }

    fn serve(
        &mut self,
        memory: &DeviceMemory,
        queue: usize,
        request: &DescriptorChain<&DeviceMemory>,
        _features: u64,
    ) -> Result<u32, Malformed> {
        if queue == RECEIVED {
            let mut to = request.clone().writer(memory)?;
            let room = to.available_bytes();
            // Taken out only where the guest has it.
            let count = self.typed.take(room, |bytes| to.write_all(bytes))?;
            return Ok(u32::try_from(count).unwrap_or(u32::MAX));
        }
        let mut from = request.clone().reader(memory)?;
        let mut left = from.available_bytes();
        if left > MOST {
            return Err(Malformed::Long(left));
        }
        let mut piece = [0; PIECE];
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE)];
            from.read_exact(piece)?;
            self.say(piece);
            left -= piece.len();
        }
        Ok(0)
    }
}

#[cfg(test)]
#[path = "console_tests.rs"]
mod tests;
