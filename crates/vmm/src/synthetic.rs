//! A guest without KVM: threads of this process that do to guest memory what the probe program does.
//!
//! For machines that have no `/dev/kvm`, and for measuring the engine at the speed of memory. It keeps the same control
//! blocks and the same words in the same pages, so that the same check verifies it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use landfall_converge::{PAGE_SIZE, Pages};
use landfall_migrate::machine::{DirtyLog, DirtyLogKind, DirtySink, GuestMemory, MachineError};
use serde::{Deserialize, Serialize};

use crate::memory::{GuestRam, MemoryError};
use crate::probe::layout::{CHUNK_PAGES, COLD_MASK, INCREMENT, MULTIPLIER, SEQUENCE_ONE};
use crate::probe::{ControlBlock, VcpuRange};
use crate::vcpu::{Cpu, CpuError, Exit, Kick};

/// The synthetic guest's clock counts nanoseconds.
pub const TICKS_PER_SECOND: u64 = 1_000_000_000;

/// One bit a page, set by a synthetic vCPU after every write.
#[derive(Debug)]
pub struct SoftwareLog {
    words: Vec<AtomicU64>,
}

impl SoftwareLog {
    /// A log of all pages of `ram`.
    #[must_use]
    pub fn new(ram: &GuestRam) -> Self {
        let words = ram.layout().end().div_ceil(64);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Notes that the page at `address` was written. Called after the write: noted before, a harvest in between would
    /// take the note and send the page as it was.
    pub(crate) fn mark(&self, address: u64) {
        let page = address / PAGE_SIZE;
        if let Some(word) = usize::try_from(page / 64).ok().and_then(|word| self.words.get(word)) {
            // Always written, never merely looked at: the read-modify-write also orders the page's new content before
            // the note on every processor.
            word.fetch_or(1 << (page % 64), Ordering::AcqRel);
        }
    }

    fn take(&self, word: usize) -> u64 {
        let word = &self.words[word];
        if word.load(Ordering::Relaxed) == 0 { 0 } else { word.swap(0, Ordering::AcqRel) }
    }
}

/// The dirty log of a synthetic guest, together with what the monitor itself writes.
#[derive(Debug)]
pub struct SyntheticDirtyLog {
    /// One a vCPU.
    logs: Vec<Arc<SoftwareLog>>,
    ram: Arc<GuestRam>,
    attributes: bool,
}

impl SyntheticDirtyLog {
    /// Reads from `logs`, one a vCPU, and from the monitor's own bitmap in `ram`; says which vCPU wrote how much if it
    /// `attributes`.
    #[must_use]
    pub fn new(logs: Vec<Arc<SoftwareLog>>, ram: Arc<GuestRam>, attributes: bool) -> Self {
        Self { logs, ram, attributes }
    }
}

struct Forget;

impl DirtySink for Forget {
    fn mark(&mut self, _word: u64, _bits: u64) {}
}

impl DirtyLog for SyntheticDirtyLog {
    fn kind(&self) -> DirtyLogKind {
        if self.attributes { DirtyLogKind::Software } else { DirtyLogKind::Bitmap }
    }

    /// The vCPUs note their writes always; beginning is forgetting what they noted so far.
    fn start(&mut self) -> Result<(), MachineError> {
        self.harvest(&mut Forget)
    }

    fn harvest(&mut self, sink: &mut dyn DirtySink) -> Result<(), MachineError> {
        let words = self.logs.first().map_or(0, |log| log.words.len());
        let mut by_vcpu = vec![Pages(0); self.logs.len()];
        for word in 0..words {
            let mut dirty = 0;
            for (log, pages) in self.logs.iter().zip(&mut by_vcpu) {
                let bits = log.take(word) & !dirty;
                dirty |= bits;
                *pages += Pages(u64::from(bits.count_ones()));
            }
            if dirty != 0 {
                sink.mark(word as u64, dirty);
            }
        }
        if self.attributes {
            for (vcpu, pages) in by_vcpu.into_iter().enumerate() {
                sink.attribute(vcpu, pages);
            }
        }
        self.ram.drain_own_writes(sink);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), MachineError> {
        Ok(())
    }
}

/// The part of a synthetic vCPU's state that is not in guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSynthetic {
    /// The guest's clock in ticks.
    clock: u64,
}

/// A vCPU that is a thread of ours.
#[derive(Debug)]
pub struct SyntheticCpu {
    ram: Arc<GuestRam>,
    log: Arc<SoftwareLog>,
    range: VcpuRange,
    kicked: Arc<AtomicBool>,
    /// When the guest's clock stood at `clock_base`.
    clock_origin: Instant,
    clock_base: u64,
    begun: bool,
}

impl SyntheticCpu {
    /// A vCPU that works on `range`.
    #[must_use]
    pub fn new(ram: Arc<GuestRam>, log: Arc<SoftwareLog>, range: VcpuRange) -> Self {
        Self {
            ram,
            log,
            range,
            kicked: Arc::new(AtomicBool::new(false)),
            clock_origin: Instant::now(),
            clock_base: TICKS_PER_SECOND,
            begun: false,
        }
    }

    fn clock(&self) -> u64 {
        self.clock_base + u64::try_from(self.clock_origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn get(&self, word: ControlBlock) -> Result<u64, MemoryError> {
        Ok(self.ram.atomic(self.range.word(word))?.load(Ordering::Relaxed))
    }

    fn set(&self, word: ControlBlock, value: u64) -> Result<(), MemoryError> {
        self.ram.atomic(self.range.word(word))?.store(value, Ordering::Relaxed);
        Ok(())
    }

    /// What the program does when it is entered for the first time.
    fn begin(&mut self) -> Result<(), MemoryError> {
        let now = self.clock();
        self.set(ControlBlock::LastBeat, now)?;
        self.set(ControlBlock::Due, now)?;
        self.set(ControlBlock::BurstEnd, now + self.get(ControlBlock::BurstOn)?)?;
        self.begun = true;
        Ok(())
    }

    /// Checks the page at `address` for `expected`, reports and repairs it where it is wrong.
    fn verify(&self, address: u64, expected: u64) -> Result<&AtomicU64, MemoryError> {
        let word = self.ram.atomic(address)?;
        let found = word.load(Ordering::Relaxed);
        if found != expected {
            self.set(ControlBlock::Violations, self.get(ControlBlock::Violations)? + 1)?;
            self.set(ControlBlock::BadPage, address)?;
            self.set(ControlBlock::BadFound, found)?;
            self.set(ControlBlock::BadExpected, expected)?;
            word.store(expected, Ordering::Relaxed);
            tracing::error!("the guest found {found:#x} instead of {expected:#x} at {address:#x}");
        }
        Ok(word)
    }

    /// Visits one chunk of pages.
    fn chunk(&self) -> Result<(), MemoryError> {
        match self.get(ControlBlock::Pattern)? {
            0 => self.sweep_chunk(),
            1 => self.random_chunk(self.range.pages),
            2 => self.read_chunk(),
            3 => self.random_chunk(self.get(ControlBlock::Hot)?),
            _ => self.compute_chunk(),
        }
    }

    fn sweep_chunk(&self) -> Result<(), MemoryError> {
        let (mut lap, mut cursor) = (self.get(ControlBlock::Lap)?, self.get(ControlBlock::Cursor)?);
        if cursor >= self.range.base + self.range.pages * PAGE_SIZE {
            (lap, cursor) = (lap + 1, self.range.base);
            self.set(ControlBlock::Lap, lap)?;
        }
        for address in chunk_from(cursor) {
            let expected = (lap << 40).wrapping_add(address);
            let word = self.verify(address, expected)?;
            word.store(expected.wrapping_add(SEQUENCE_ONE), Ordering::Relaxed);
            self.log.mark(address);
        }
        self.set(ControlBlock::Cursor, cursor + CHUNK_PAGES * PAGE_SIZE)
    }

    /// Most of the pages are chosen from the first `hot`.
    fn random_chunk(&self, hot: u64) -> Result<(), MemoryError> {
        let mut seed = self.get(ControlBlock::Seed)?;
        for _ in 0..CHUNK_PAGES {
            seed = next_number(seed);
            let among = if seed & COLD_MASK == 0 { self.range.pages } else { hot };
            let page = ((seed >> 32) * among) >> 32;
            let (address, entry) =
                (self.range.base + page * PAGE_SIZE, self.range.ledger_entry(page));
            let ledger = self.ram.atomic(entry)?;
            let expected = ledger.load(Ordering::Relaxed);
            let word = self.verify(address, expected)?;
            let next = expected.wrapping_add(SEQUENCE_ONE);
            word.store(next, Ordering::Relaxed);
            self.log.mark(address);
            ledger.store(next, Ordering::Relaxed);
            self.log.mark(entry);
        }
        self.set(ControlBlock::Seed, seed)
    }

    fn read_chunk(&self) -> Result<(), MemoryError> {
        let mut cursor = self.get(ControlBlock::Cursor)?;
        if cursor >= self.range.base + self.range.pages * PAGE_SIZE {
            cursor = self.range.base;
        }
        for address in chunk_from(cursor) {
            self.verify(address, address)?;
        }
        self.set(ControlBlock::Cursor, cursor + CHUNK_PAGES * PAGE_SIZE)
    }

    fn compute_chunk(&self) -> Result<(), MemoryError> {
        let seed = self.get(ControlBlock::Seed)?;
        self.set(ControlBlock::Seed, (0..CHUNK_PAGES).fold(seed, |seed, _| next_number(seed)))
    }

    /// Counts a chunk; gives the clock until which pace and bursts want the vCPU to wait.
    fn beat(&self) -> Result<u64, MemoryError> {
        self.set(ControlBlock::Work, self.get(ControlBlock::Work)? + CHUNK_PAGES)?;
        let now = self.heartbeat()?;
        let mut wait = now;
        let pace = self.get(ControlBlock::Pace)?;
        if pace > 0 {
            // As in the program: a guest that was held back does not rush to make up for it.
            let next = self.get(ControlBlock::Due)? + pace;
            let due = if next + pace < now { now } else { next };
            self.set(ControlBlock::Due, due)?;
            wait = wait.max(due);
        }
        let on = self.get(ControlBlock::BurstOn)?;
        let end = self.get(ControlBlock::BurstEnd)?;
        if on > 0 && now >= end {
            wait = wait.max(end + self.get(ControlBlock::BurstOff)?);
            self.set(ControlBlock::BurstEnd, wait + on)?;
        }
        Ok(wait)
    }

    fn heartbeat(&self) -> Result<u64, MemoryError> {
        let now = self.clock();
        self.set(ControlBlock::Heartbeat, self.get(ControlBlock::Heartbeat)? + 1)?;
        let gap = now.saturating_sub(self.get(ControlBlock::LastBeat)?);
        self.set(ControlBlock::LastBeat, now)?;
        if gap > self.get(ControlBlock::LongestGap)? {
            self.set(ControlBlock::LongestGap, gap)?;
        }
        Ok(now)
    }

    fn work_until(&mut self, end: Option<Instant>) -> Result<(), MemoryError> {
        let over = |end: Option<Instant>| end.is_some_and(|end| Instant::now() >= end);
        loop {
            self.chunk()?;
            let mut wait = self.beat()?;
            self.log.mark(self.range.control);
            while !self.kicked.load(Ordering::Acquire) && !over(end) {
                let left = wait.saturating_sub(self.clock());
                if left == 0 {
                    break;
                }
                let slice = end.map(|end| end.saturating_duration_since(Instant::now()));
                // A kick unparks, so that a waiting vCPU stops as fast as a working one.
                std::thread::park_timeout(
                    Duration::from_nanos(left).min(slice.unwrap_or(Duration::MAX)),
                );
                if wait <= self.clock() {
                    self.heartbeat()?;
                    self.log.mark(self.range.control);
                    wait = 0;
                }
            }
            if self.kicked.swap(false, Ordering::AcqRel) || over(end) {
                return Ok(());
            }
        }
    }
}

fn next_number(seed: u64) -> u64 {
    seed.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT)
}

/// The addresses of one chunk's pages.
fn chunk_from(cursor: u64) -> impl Iterator<Item = u64> {
    (0..CHUNK_PAGES).map(move |page| cursor + page * PAGE_SIZE)
}

impl Cpu for SyntheticCpu {
    type State = SavedSynthetic;

    fn attach(&mut self) -> Result<Kick, CpuError> {
        let (kicked, thread) = (Arc::clone(&self.kicked), std::thread::current());
        Ok(Box::new(move || {
            kicked.store(true, Ordering::Release);
            thread.unpark();
        }))
    }

    fn run(&mut self, slice: Option<Duration>) -> Result<Exit, CpuError> {
        if !self.begun {
            self.begin()?;
        }
        if !self.kicked.swap(false, Ordering::AcqRel) {
            self.work_until(slice.map(|slice| Instant::now() + slice))?;
        }
        Ok(Exit::Interrupted)
    }

    fn save(&mut self) -> Result<SavedSynthetic, CpuError> {
        Ok(SavedSynthetic { clock: self.clock() })
    }

    fn load(&mut self, state: SavedSynthetic) -> Result<(), CpuError> {
        (self.clock_base, self.clock_origin, self.begun) = (state.clock, Instant::now(), true);
        Ok(())
    }
}
