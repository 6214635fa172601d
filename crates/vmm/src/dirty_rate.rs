//! Measures what a guest does to its memory, with the dirty log that a migration would use.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use landfall_converge::measurement::{DirtyCurve, DirtyMeasurement};
use landfall_converge::{ByteRate, Bytes, PAGE_SIZE, Pages};
use landfall_migrate::machine::{
    DirtyLog, DirtySink, GuestMemory, MachineError, PageIndex, Source,
};

/// As often as a migration reads the log, so that the guest pays for its writes what it will pay then.
const TICK: Duration = Duration::from_millis(50);
/// A tick of so many is read once more, soon after it began: a fast guest is round its working set within a whole one,
/// and a throttled guest runs only so much of each.
const SHORT: Duration = Duration::from_millis(5);
const SHORT_EVERY: u32 = 4;
/// Not where reading alone takes so long.
const LONGEST_SYNC: Duration = Duration::from_millis(2);
/// Pages that are looked at to learn how many are zero.
const SAMPLE: u64 = 4096;
const PAGE: usize = 4096;
const _: () = assert!(PAGE as u64 == PAGE_SIZE);

/// Why a measurement gave no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MeasureError {
    /// Somebody called it off.
    #[error("the measurement was called off")]
    Cancelled,
    /// The dirty log failed.
    #[error("the dirty log could not be read")]
    Log(#[source] MachineError),
}

/// What a guest did while it was watched.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) measurement: DirtyMeasurement,
    /// All distinct memory written, and in what time.
    pub(crate) distinct: Bytes,
    pub(crate) time: Duration,
    /// How long the log took to read, the mean.
    pub(crate) sync: Duration,
}

/// Watches the guest of `machine` for `lasting`. The dirty log is off when this returns, whatever it returns; a message on
/// `cancel`, or its other end going, ends it at once.
pub(crate) fn measure(
    machine: &mut dyn Source,
    lasting: Duration,
    cancel: &Receiver<()>,
) -> Result<Measured, MeasureError> {
    let memory = machine.memory();
    let mut readings = Readings::begin(machine.dirty_log(), memory.layout().end())?;
    let end = readings.tick_began + lasting;
    for tick in 0.. {
        if tick % SHORT_EVERY == 0 && readings.sync() < LONGEST_SYNC {
            wait(cancel, end.min(readings.tick_began + SHORT))?;
            readings.read_short()?;
        }
        wait(cancel, end.min(readings.tick_began + TICK))?;
        readings.end_tick()?;
        if Instant::now() >= end {
            break;
        }
    }
    Ok(readings.measured(memory.as_ref()))
}

fn wait(cancel: &Receiver<()>, until: Instant) -> Result<(), MeasureError> {
    match cancel.recv_timeout(until.saturating_duration_since(Instant::now())) {
        Err(RecvTimeoutError::Timeout) => Ok(()),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(MeasureError::Cancelled),
    }
}

/// A dirty log that is on for as long as this lives, and what it gave.
struct Readings<'a> {
    log: &'a mut dyn DirtyLog,
    curve: DirtyCurve,
    pages_by_vcpu: Vec<u64>,
    tick_began: Instant,
    /// Ticks read soon after they began: how many, how long in all, and what was in them.
    shorts: u32,
    short_time: Duration,
    short_bytes: u64,
    reads: u32,
    reading: Duration,
}

impl Drop for Readings<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.log.stop() {
            tracing::warn!(error, "the dirty log could not be switched off after a measurement");
        }
    }
}

impl<'a> Readings<'a> {
    fn begin(log: &'a mut dyn DirtyLog, pages: u64) -> Result<Self, MeasureError> {
        log.start().map_err(MeasureError::Log)?;
        Ok(Self {
            log,
            curve: DirtyCurve::new(pages),
            pages_by_vcpu: Vec::new(),
            tick_began: Instant::now(),
            shorts: 0,
            short_time: Duration::ZERO,
            short_bytes: 0,
            reads: 0,
            reading: Duration::ZERO,
        })
    }

    fn read(&mut self) -> Result<Instant, MeasureError> {
        let before = Instant::now();
        let mut sink = Sink { curve: &mut self.curve, pages_by_vcpu: &mut self.pages_by_vcpu };
        self.log.harvest(&mut sink).map_err(MeasureError::Log)?;
        let now = Instant::now();
        self.reads += 1;
        self.reading += now - before;
        Ok(now)
    }

    fn read_short(&mut self) -> Result<(), MeasureError> {
        let now = self.read()?;
        self.shorts += 1;
        self.short_time += now - self.tick_began;
        self.short_bytes += self.curve.in_this_tick().0;
        Ok(())
    }

    fn end_tick(&mut self) -> Result<(), MeasureError> {
        let now = self.read()?;
        self.curve.end_tick(now - self.tick_began);
        self.tick_began = now;
        Ok(())
    }

    fn sync(&self) -> Duration {
        self.reading.checked_div(self.reads).unwrap_or_default()
    }

    fn measured(&self, memory: &dyn GuestMemory) -> Measured {
        let mut windows = self.curve.windows();
        if self.shorts > 0 {
            let distinct = Bytes(self.short_bytes / u64::from(self.shorts));
            windows.insert(0, (self.short_time / self.shorts, distinct));
        }
        let time = self.curve.time();
        let rate = |pages: &u64| ByteRate::of(Pages(*pages).bytes(), time);
        Measured {
            measurement: DirtyMeasurement {
                windows,
                rhythm: self.curve.rhythm(),
                vcpu_rates: self.pages_by_vcpu.iter().map(rate).collect(),
                memory: memory.layout().pages().bytes(),
                non_zero: non_zero(memory),
            },
            distinct: self.curve.touched(),
            time,
            sync: self.sync(),
        }
    }
}

struct Sink<'a> {
    curve: &'a mut DirtyCurve,
    pages_by_vcpu: &'a mut Vec<u64>,
}

impl DirtySink for Sink<'_> {
    fn mark(&mut self, word: u64, bits: u64) {
        self.curve.mark(word, bits);
    }

    fn attribute(&mut self, vcpu: usize, pages: Pages) {
        if self.pages_by_vcpu.len() <= vcpu {
            self.pages_by_vcpu.resize(vcpu + 1, 0);
        }
        self.pages_by_vcpu[vcpu] += pages.0;
    }
}

/// The memory that holds anything but zeros, by a page out of every so many. A page that nobody ever wrote is not read:
/// reading would make the kernel give memory for it.
fn non_zero(memory: &dyn GuestMemory) -> Bytes {
    let pages = memory.layout().pages().0;
    let step = pages.div_ceil(SAMPLE).max(1);
    let mut buffer = [0; PAGE];
    let (mut looked_at, mut found) = (0, 0);
    for range in memory.layout().ranges() {
        // Not the same place in every stretch: what guests lay out in powers of two would be always or never hit.
        let places = (range.start..range.end).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        for (turn, stretch) in (1_u64..).zip(places) {
            let page =
                PageIndex((stretch + turn.wrapping_mul(0x9E37_79B9) % step).min(range.end - 1));
            looked_at += 1;
            if !memory.is_untouched(page, 1)
                && memory.read_pages(page, &mut buffer).is_ok()
                && buffer.iter().any(|byte| *byte != 0)
            {
                found += 1;
            }
        }
    }
    Bytes(pages * PAGE_SIZE).part(f64::from(found) / f64::from(looked_at.max(1)))
}

#[cfg(test)]
#[path = "dirty_rate_tests.rs"]
mod tests;
