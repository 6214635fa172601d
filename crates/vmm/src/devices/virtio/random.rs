//! A source of random numbers, as the guest's driver for such sources knows it.

use std::io::{self, Write as _};
use std::sync::Arc;

use virtio_queue::DescriptorChain;

use super::{Configuration, DeviceMemory, Malformed, Model};

/// The device's number in the standard.
const ENTROPY: u32 = 4;
/// So much is given at a time. A guest that asks for more gets less, and asks again.
const MOST: usize = 4096;

/// The random numbers of this host. It remembers nothing, so that a guest gets new ones wherever it goes.
#[derive(Debug)]
pub(crate) struct Random;

impl Model for Random {
    fn kind(&self) -> u32 {
        ENTROPY
    }

    fn features(&self) -> u64 {
        0
    }

    fn configuration(&self) -> Arc<dyn Configuration> {
        Arc::new(Vec::new())
    }

    fn serve(
        &mut self,
        memory: &DeviceMemory,
        _queue: usize,
        request: &DescriptorChain<&DeviceMemory>,
        _features: u64,
    ) -> Result<u32, Malformed> {
        let mut to = request.clone().writer(memory)?;
        let mut numbers = [0; MOST];
        let numbers = &mut numbers[..to.available_bytes().min(MOST)];
        fill(numbers)?;
        to.write_all(numbers)?;
        Ok(u32::try_from(numbers.len()).unwrap_or(u32::MAX))
    }
}

/// Fills `numbers`; never with anything else than random numbers.
fn fill(numbers: &mut [u8]) -> io::Result<()> {
    let mut rest = numbers;
    while !rest.is_empty() {
        // SAFETY: pointer and length are those of one slice, which nobody else has.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => rest = &mut rest[count..],
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "random_tests.rs"]
mod tests;
