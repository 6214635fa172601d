//! Guests: memory, and vCPUs that write to it.

use std::time::Duration;

use crate::units::{ByteRate, Bytes};

/// A guest: how much memory, how much of it has anything in it, and what its vCPUs do.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestModel {
    /// All memory.
    pub memory: Bytes,
    /// The part that holds only zeros: the end of it, which no vCPU should write to.
    pub zero: Bytes,
    /// Its vCPUs.
    pub vcpus: Vec<VcpuModel>,
}

/// One vCPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VcpuModel {
    /// Where and in what order it writes.
    pub workload: Workload,
    /// How fast it writes while nobody holds it back: bytes of pages written to per second of run time.
    pub rate: ByteRate,
    /// When it writes.
    pub rhythm: Rhythm,
    /// Where its range of memory begins.
    pub base: Bytes,
    /// Where in its range a sweep stands when the migration begins, as a share of it, 0 to 1. One that stands where the
    /// migration begins to send stays behind it for the whole first pass, and dirties nothing but what was sent already.
    pub phase: f64,
}

/// Where and in what order a vCPU writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Workload {
    /// It computes, or only reads.
    Idle,
    /// One page after the other, round and round.
    Sweep {
        /// The range.
        set: Bytes,
    },
    /// Any page of a range at any time.
    Random {
        /// The range.
        set: Bytes,
    },
    /// Two ranges beside each other, the first written to much more often; each at random.
    HotAndCold {
        /// The range that most writes go to.
        hot: Bytes,
        /// The range that the rest goes to.
        cold: Bytes,
        /// The share of writes that goes to the hot range.
        hot_share: f64,
    },
}

/// When a vCPU writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// All the time.
    Steady,
    /// For `on`, then not for `off`, and again.
    Bursts {
        /// Writing.
        on: Duration,
        /// Not writing.
        off: Duration,
    },
    /// Until a moment, and then no more.
    Until(Duration),
}

impl Rhythm {
    /// Whether it writes at the moment `now` after the migration began.
    pub(super) fn writes_at(&self, now: Duration) -> bool {
        match self {
            Self::Steady => true,
            Self::Bursts { on, off } => {
                let period = (*on + *off).as_nanos().max(1);
                now.as_nanos() % period < on.as_nanos()
            }
            Self::Until(end) => now < *end,
        }
    }
}

impl GuestModel {
    /// A guest of one vCPU that writes from the beginning of memory on, all the time. What it does not write to holds
    /// zeros.
    #[must_use]
    pub fn single(memory: Bytes, workload: Workload, rate: ByteRate) -> Self {
        let vcpu = VcpuModel { workload, rate, rhythm: Rhythm::Steady, base: Bytes(0), phase: 0.0 };
        Self { memory, zero: memory.saturating_sub(workload.extent()), vcpus: vec![vcpu] }
    }
}

impl Workload {
    /// The memory that it writes to.
    #[must_use]
    pub fn extent(&self) -> Bytes {
        match self {
            Self::Idle => Bytes(0),
            Self::Sweep { set } | Self::Random { set } => *set,
            Self::HotAndCold { hot, cold, .. } => *hot + *cold,
        }
    }
}

/// Where a vCPU stands in its workload.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    model: VcpuModel,
    cell: u64,
    next: u64,
    /// Parts of a cell that it could not write yet.
    owed: f64,
    random: u64,
}

impl Writer {
    pub(super) fn new(model: VcpuModel, cell: Bytes, seed: u64) -> Self {
        let cells = (model.workload.extent().0 / cell.0).max(1);
        Self {
            model,
            cell: cell.0,
            next: Bytes(cells).part(model.phase.clamp(0.0, 1.0)).0,
            owed: 0.0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// Runs for `ran`; calls `write` with the index of each cell written to.
    pub(super) fn run(&mut self, ran: Duration, now: Duration, mut write: impl FnMut(u64)) {
        if !self.model.rhythm.writes_at(now) {
            return;
        }
        self.owed += self.model.rate.bytes_per_second() * ran.as_secs_f64() / self.cell as f64;
        while self.owed >= 1.0 {
            self.owed -= 1.0;
            if let Some(cell) = self.target() {
                write(cell);
            }
        }
    }

    fn target(&mut self) -> Option<u64> {
        let base = self.model.base.0 / self.cell;
        let cells = |bytes: Bytes| (bytes.0 / self.cell).max(1);
        match self.model.workload {
            Workload::Idle => None,
            Workload::Sweep { set } => {
                let cells = cells(set);
                let cell = self.next % cells;
                self.next = (cell + 1) % cells;
                Some(base + cell)
            }
            Workload::Random { set } => {
                let cells = cells(set);
                Some(base + self.random() % cells)
            }
            Workload::HotAndCold { hot, cold, hot_share } => {
                let (hot, cold) = (cells(hot), cells(cold));
                let is_hot = (self.random() >> 11) as f64 / (1_u64 << 53) as f64 <= hot_share;
                let place = self.random();
                Some(base + if is_hot { place % hot } else { hot + place % cold })
            }
        }
    }

    /// xorshift64*: the same run every time is worth more here than good randomness.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }
}
