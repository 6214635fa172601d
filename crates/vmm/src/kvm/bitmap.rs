//! The dirty log as bitmaps, with manual protection: reading a bit and protecting its page again are two steps.

use std::sync::Arc;

use landfall_converge::PAGE_SIZE;
use landfall_migrate::machine::{DirtyLog, DirtyLogKind, DirtySink, MachineError};

use super::ioctl::{clear_dirty_log, get_dirty_log};
use super::vm::{KvmVm, Slot};
use crate::memory::GuestRam;

/// Pages protected by one call. KVM holds its MMU lock meanwhile, so a vCPU that faults waits no longer than this takes.
const CHUNK_PAGES: u64 = 16 * 1024;

/// The dirty log of a guest in KVM, together with what the monitor itself writes.
#[derive(Debug)]
pub(super) struct BitmapLog {
    vm: Arc<KvmVm>,
    ram: Arc<GuestRam>,
    bitmap: Vec<u64>,
}

impl BitmapLog {
    pub(super) fn new(vm: Arc<KvmVm>, ram: Arc<GuestRam>) -> Self {
        let longest = vm.slots().iter().map(|slot| slot.pages).max().unwrap_or(0);
        let words = usize::try_from(longest.div_ceil(64)).unwrap_or(0);
        Self { vm, ram, bitmap: vec![0; words] }
    }

    /// Hands the slot's dirty pages on and protects them again, chunk by chunk.
    fn harvest_slot(&mut self, slot: &Slot, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        get_dirty_log(self.vm.raw_fd(), slot.number, slot.pages, &mut self.bitmap)?;
        self.each_dirty_chunk(slot, |vm, first, pages, words| {
            // Protected first, handed on next: a write in between is in both, and one after it in the next harvest.
            clear_dirty_log(vm.raw_fd(), slot.number, first, pages, words)?;
            let first_word = (slot.address / PAGE_SIZE + first) / 64;
            for (word, bits) in (first_word..).zip(words) {
                if *bits != 0 {
                    sink.mark(word, *bits);
                }
            }
            Ok(())
        })
    }

    fn each_dirty_chunk(
        &self,
        slot: &Slot,
        mut act: impl FnMut(&KvmVm, u64, u32, &[u64]) -> Result<(), MachineError>,
    ) -> Result<(), MachineError> {
        let words = usize::try_from(slot.pages.div_ceil(64))?;
        let chunk_words = usize::try_from(CHUNK_PAGES / 64)?;
        for (first, chunk) in (0..slot.pages)
            .step_by(usize::try_from(CHUNK_PAGES)?)
            .zip(self.bitmap[..words].chunks(chunk_words))
        {
            if chunk.iter().any(|bits| *bits != 0) {
                let pages = u32::try_from((slot.pages - first).min(CHUNK_PAGES))?;
                act(&self.vm, first, pages, chunk)?;
            }
        }
        Ok(())
    }
}

struct Forget;

impl DirtySink for Forget {
    fn mark(&mut self, _word: u64, _bits: u64) {}
}

impl DirtyLog for BitmapLog {
    fn kind(&self) -> DirtyLogKind {
        DirtyLogKind::Bitmap
    }

    fn start(&mut self) -> Result<(), MachineError> {
        self.ram.drain_own_writes(&mut Forget);
        self.vm.set_dirty_logging(true)?;
        // Where KVM begins with every page marked and none protected, this protects them, a chunk at a time; elsewhere
        // nothing is marked yet and nothing happens.
        for slot in self.vm.slots().to_vec() {
            self.harvest_slot(&slot, &mut Forget)?;
        }
        Ok(())
    }

    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        for slot in self.vm.slots().to_vec() {
            self.harvest_slot(&slot, sink)?;
        }
        self.ram.drain_own_writes(sink);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        Ok(self.vm.set_dirty_logging(false)?)
    }
}
