//! A balloon, as the guest's driver for it knows it: memory that the guest gives up for as long as it is asked to.

use std::io::Read;
use std::sync::Arc;

use landfall_migrate::machine::{GuestMemory as _, PageIndex};
use virtio_queue::DescriptorChain;

use super::ballooning::Ballooning;
use super::configuration::Configuration;
use super::{DeviceMemory, Malformed, Model};
use crate::memory::GuestRam;

/// The device's number in the standard.
const BALLOON: u32 = 5;
/// The guest tells how it uses its memory.
const STATISTICS: u64 = 1 << 1;

/// Which queue is for what.
const GIVEN: usize = 0;
const TAKEN_BACK: usize = 1;
const TOLD: usize = 2;
const QUEUES: usize = 3;

/// The number of a page, as the guest gives it up.
const NUMBER: usize = size_of::<u32>();
/// More pages are not given up by one request: Linux has 256 in one.
const MOST_PAGES: usize = 64 << 10;
/// An entry of what the guest tells: what it is, and how much.
pub(super) const FIGURE: usize = size_of::<u16>() + size_of::<u64>();
/// More is not told at once.
const MOST_FIGURES: usize = 64;

/// A balloon.
#[derive(Debug)]
pub(crate) struct Balloon {
    ram: Arc<GuestRam>,
    ballooning: Arc<Ballooning>,
}

impl Balloon {
    /// The balloon of the guest that has `ram`.
    pub(crate) fn new(ram: &Arc<GuestRam>, ballooning: &Arc<Ballooning>) -> Self {
        Self { ram: Arc::clone(ram), ballooning: Arc::clone(ballooning) }
    }

    /// Gives pages back to the host, those that lie beside each other at once. What is no memory of the guest is left out.
    fn give_back(&self, mut pages: Vec<u32>) {
        pages.retain(|page| self.ram.layout().contains_run(PageIndex(u64::from(*page)), 1));
        pages.sort_unstable();
        pages.dedup();
        for run in pages.chunk_by(|page, next| page + 1 == *next) {
            let Some(first) = run.first() else { continue };
            let given = self.ram.give_back(PageIndex(u64::from(*first)), run.len() as u64);
            // The guest has them in its balloon all the same; the host has only not got them.
            if let Err(error) = given {
                tracing::warn!("pages that the guest gives up are not given back: {error}");
            }
        }
    }
}

impl Model for Balloon {
    fn kind(&self) -> u32 {
        BALLOON
    }

    fn features(&self) -> u64 {
        STATISTICS
    }

    fn configuration(&self) -> Arc<dyn Configuration> {
        Arc::clone(&self.ballooning) as _
    }

    fn queues(&self) -> usize {
        QUEUES
    }

    fn has_work(&mut self, queue: usize) -> bool {
        // What the guest tells waits in the queue until somebody asks.
        queue != TOLD || self.ballooning.is_asking()
    }

    fn serve(
        &mut self,
        memory: &DeviceMemory,
        queue: usize,
        request: &DescriptorChain<&DeviceMemory>,
        _features: u64,
    ) -> Result<u32, Malformed> {
        let mut from = request.clone().reader(memory)?;
        let length = from.available_bytes();
        match queue {
            GIVEN => {
                let numbers = whole(&mut from, length, NUMBER * MOST_PAGES)?;
                let (numbers, _) = numbers.as_chunks();
                self.give_back(numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect());
            }
            TAKEN_BACK => {}
            _ => self.ballooning.told(&whole(&mut from, length, FIGURE * MOST_FIGURES)?),
        }
        Ok(0)
    }
}

/// All of the `length` bytes in `from`, unless these are more than `most`.
fn whole(from: &mut impl Read, length: usize, most: usize) -> Result<Vec<u8>, Malformed> {
    if length > most {
        return Err(Malformed::Long(length));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "balloon_tests.rs"]
mod tests;
