//! The dirty log as rings, one a vCPU: each names the pages that its vCPU was the first to write.
//!
//! A ring that is full keeps its vCPU from running until entries were given back, so not only the one who reads the log
//! empties rings but also the vCPU that is stopped by a full one. What is found then waits in [`Pending`] until the log
//! is read.
//!
//! No page is lost, for all who empty rings do so under one lock and in this order:
//! 1. entries are read, noted in [`Pending`], and marked as harvested;
//! 2. `KVM_RESET_DIRTY_RINGS` protects their pages again, on all vCPUs, and gives the entries back;
//! 3. only then, still under the lock, what is pending is handed on, and its pages are read to be sent.
//!
//! A write before step 2 is in what step 3 sends, for the page is read after it. A write after step 2 meets a protected
//! page and makes a new entry. If step 2 fails the pages stay pending and the log says that it failed. The other way
//! round, with the page handed on first, a write between sending it and protecting it would be in neither.
//!
//! A ring that has overrun (see [`Ring`]) has lost pages, and nobody can say which. That shows: no entry of it was empty,
//! or the kernel took back fewer entries than were harvested. Then every page is protected anew and counts as written.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use landfall_converge::{PAGE_SIZE, Pages};
use landfall_migrate::machine::{DirtyLog, DirtyLogKind, DirtySink, MachineError};

use super::ioctl::reset_dirty_rings;
use super::ring::Ring;
use super::vm::{KvmError, KvmVm, Slot};
use crate::memory::GuestRam;

/// The rings of all vCPUs of a machine.
#[derive(Debug)]
pub(super) struct DirtyRings {
    /// Entries in each.
    entries: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rings: Vec<Ring>,
    pending: Pending,
    /// Guest memory is being logged.
    logging: bool,
    /// How often a ring has overrun.
    overruns: u64,
}

/// Pages found in rings and not yet handed on, each once.
#[derive(Debug, Default)]
struct Pending {
    /// One bit a page.
    bitmap: Vec<u64>,
    /// The words of `bitmap` that are not zero.
    words: Vec<usize>,
    by_vcpu: Vec<Pages>,
    /// Entries that named no page of this machine.
    strays: u64,
}

impl Pending {
    /// Notes that `vcpu` has written a page; `page` is `None` where there is no such page.
    fn note(&mut self, vcpu: usize, page: Option<u64>) {
        match page.and_then(|page| self.add(page)) {
            Some(true) => self.by_vcpu[vcpu] += Pages(1),
            Some(false) => {}
            None => self.strays += 1,
        }
    }

    /// Takes a page in; whether it is new, or `None` where there is no such page.
    fn add(&mut self, page: u64) -> Option<bool> {
        let word = usize::try_from(page / 64).ok()?;
        let bits = self.bitmap.get_mut(word)?;
        if *bits == 0 {
            self.words.push(word);
        }
        let bit = 1 << (page % 64);
        let new = *bits & bit == 0;
        *bits |= bit;
        Some(new)
    }

    fn hand_on(&mut self, sink: &mut dyn DirtySink) {
        self.words.sort_unstable();
        for word in self.words.drain(..) {
            sink.mark(word as u64, std::mem::take(&mut self.bitmap[word]));
        }
        // A vCPU that wrote nothing is told of, too: that is what lets it go free.
        for (vcpu, pages) in self.by_vcpu.iter_mut().enumerate() {
            sink.attribute(vcpu, std::mem::take(pages));
        }
    }
}

impl DirtyRings {
    /// Rings of `entries` entries for a machine with memory up to page `end`, without vCPUs yet.
    pub(super) fn new(entries: u32, end: u64) -> Self {
        let words = usize::try_from(end.div_ceil(64)).unwrap_or(usize::MAX);
        let pending = Pending { bitmap: vec![0; words], ..Pending::default() };
        Self { entries, state: Mutex::new(State { pending, ..State::default() }) }
    }

    /// Takes in the ring of the next vCPU.
    pub(super) fn add(&self, vcpu: RawFd) -> Result<(), KvmError> {
        let ring = Ring::map(vcpu, self.entries).map_err(KvmError::Ring)?;
        let mut state = self.state();
        state.rings.push(ring);
        state.pending.by_vcpu.push(Pages(0));
        Ok(())
    }

    /// Empties all rings so that `vcpu`, which was stopped by a full one, can go on; whether anything was in its ring.
    /// `phantom`: it was stopped several times in a row by a ring in which nothing was.
    pub(super) fn relieve(&self, vm: &KvmVm, vcpu: usize, phantom: bool) -> Result<bool, KvmError> {
        let mut state = self.state();
        state.harvest(vm);
        let found = state.rings.get(vcpu).is_some_and(|ring| ring.harvested() > 0);
        if phantom && !found {
            state.rings.get_mut(vcpu).map(Ring::skip_half);
        }
        state.reset(vm)?;
        Ok(found)
    }

    /// Empties all rings if the one of `vcpu` is filling up.
    pub(super) fn relieve_early(&self, vm: &KvmVm, vcpu: usize) -> Result<(), KvmError> {
        // Whoever holds the lock empties them already.
        let Ok(mut state) = self.state.try_lock() else { return Ok(()) };
        if state.rings.get(vcpu).is_some_and(Ring::is_half_full) { state.empty(vm) } else { Ok(()) }
    }

    /// Begins or ends to record, with nothing recorded yet.
    fn set_logging(&self, vm: &KvmVm, on: bool) -> Result<(), KvmError> {
        let mut state = self.state();
        vm.set_dirty_logging(on)?;
        state.logging = on;
        // What is left of an earlier use is forgotten, its pages protected like all others.
        state.empty(vm)?;
        state.pending.hand_on(&mut Forget);
        Ok(())
    }

    /// Gives every page written since the last time.
    fn harvest(&self, vm: &KvmVm, sink: &mut dyn DirtySink) -> Result<(), KvmError> {
        let mut state = self.state();
        state.empty(vm)?;
        let strays = std::mem::take(&mut state.pending.strays);
        state.pending.hand_on(sink);
        if strays > 0 { Err(KvmError::StrayEntries(strays)) } else { Ok(()) }
    }

    /// The lock, also when somebody panicked while he held it: what is pending stays, and so does what is due.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Steps 1 and 2. All rings are emptied, whoever asks: resetting costs every vCPU a flush of its translations, so it
    /// is better done for all at once.
    fn empty(&mut self, vm: &KvmVm) -> Result<(), KvmError> {
        self.harvest(vm);
        self.reset(vm)
    }

    fn harvest(&mut self, vm: &KvmVm) {
        for (vcpu, ring) in self.rings.iter_mut().enumerate() {
            ring.harvest(|slot, page| self.pending.note(vcpu, page_of(vm.slots(), slot, page)));
        }
    }

    fn reset(&mut self, vm: &KvmVm) -> Result<(), KvmError> {
        let harvested: u32 = self.rings.iter().map(Ring::harvested).sum();
        if harvested == 0 {
            return Ok(());
        }
        let overrun = self.rings.iter().any(Ring::is_whole_round) || reset(vm)? != harvested;
        if overrun {
            return self.start_over(vm);
        }
        self.rings.iter_mut().for_each(Ring::was_reset);
        Ok(())
    }

    /// A ring has overrun: puts rings and kernel together again, protects every page, and takes each for written.
    fn start_over(&mut self, vm: &KvmVm) -> Result<(), KvmError> {
        tracing::warn!("a dirty ring overran; every page counts as written");
        self.overruns += 1;
        // Nothing is filled in any more from here on.
        vm.set_dirty_logging(false)?;
        let (overrun, mut whole): (Vec<_>, Vec<_>) =
            self.rings.iter_mut().partition(|ring| ring.is_full());
        overrun.iter().for_each(|ring| ring.hold());
        // Every page will count as written, these among them.
        whole.iter_mut().for_each(|ring| ring.harvest(|_, _| ()));
        reset(vm)?;
        whole.iter_mut().for_each(|ring| ring.was_reset());
        for ring in overrun {
            ring.recover(|| reset(vm))?;
        }
        if self.logging {
            vm.set_dirty_logging(true)?;
            for slot in vm.slots() {
                let first = slot.address / PAGE_SIZE;
                for page in first..first + slot.pages {
                    self.pending.add(page);
                }
            }
        }
        Ok(())
    }
}

fn reset(vm: &KvmVm) -> Result<u32, KvmError> {
    reset_dirty_rings(vm.raw_fd()).map_err(KvmError::Ring)
}

fn page_of(slots: &[Slot], number: u32, page: u64) -> Option<u64> {
    let slot = slots.iter().find(|slot| slot.number == number)?;
    (page < slot.pages).then(|| slot.address / PAGE_SIZE + page)
}

/// The dirty log of a guest with rings, together with what the monitor itself writes.
#[derive(Debug)]
pub(super) struct RingLog {
    vm: Arc<KvmVm>,
    ram: Arc<GuestRam>,
}

impl RingLog {
    pub(super) fn new(vm: Arc<KvmVm>, ram: Arc<GuestRam>) -> Self {
        Self { vm, ram }
    }

    fn rings(&self) -> Result<&DirtyRings, KvmError> {
        self.vm.rings().ok_or(KvmError::NoRing)
    }
}

struct Forget;

impl DirtySink for Forget {
    fn mark(&mut self, _word: u64, _bits: u64) {}
}

impl DirtyLog for RingLog {
    fn kind(&self) -> DirtyLogKind {
        DirtyLogKind::Ring
    }

    fn start(&mut self) -> Result<(), MachineError> {
        self.ram.drain_own_writes(&mut Forget);
        Ok(self.rings()?.set_logging(&self.vm, true)?)
    }

    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        self.rings()?.harvest(&self.vm, sink)?;
        self.ram.drain_own_writes(sink);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        Ok(self.rings()?.set_logging(&self.vm, false)?)
    }
}

#[cfg(test)]
#[path = "rings_tests.rs"]
mod tests;
