//! What it takes to find that a large guest is clean: what the monitor itself has written is read, and the set of pages to send
//! walked through twice, as while a guest stands still. Memory of that size need not be there; nobody touches it.
//!
//! `cargo bench -p landfall-vmm --bench scanning`; the medians stand in docs/performance.md.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has nothing else to tell than where"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use landfall_converge::Bytes;
use landfall_migrate::DirtySet;
use landfall_migrate::machine::{DirtySink, GuestMemory as _, PageIndex};
use landfall_vmm::memory::GuestRam;

const ROUNDS: usize = 11;
const GIBIBYTES: [u64; 3] = [64, 256, 1024];
/// Pages that are dirty where a few are, far from each other.
const FEW: u64 = 1000;

struct Counted(u64);

impl DirtySink for Counted {
    fn mark(&mut self, _: u64, bits: u64) {
        self.0 += u64::from(bits.count_ones());
    }
}

/// The median of some rounds, and the longest, in ms.
fn times(mut what: impl FnMut() -> Duration) -> (f64, f64) {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| what()).collect();
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    (ms(times[ROUNDS / 2]), ms(times[ROUNDS - 1]))
}

fn timed(what: impl FnOnce()) -> Duration {
    let began = Instant::now();
    what();
    began.elapsed()
}

/// Takes all that there is, as a sender does: cold pages first, then hot ones.
fn walk(set: &DirtySet) -> u64 {
    let mut taken = 0;
    for wanted in [u64::MAX, 0] {
        let mut cursor = PageIndex(0);
        while let Some(run) = set.take_run(cursor, 64, 0, 1, |_| wanted) {
            taken += run.count;
            cursor = run.first.offset(run.count);
        }
    }
    taken
}

fn main() {
    println!("medians of {ROUNDS}, the longest in brackets, in ms");
    println!(
        "{:>9} {:>20} {:>20} {:>20}",
        "", "own writes, none", "walk, none", "walk, 1000 pages"
    );
    for gibibytes in GIBIBYTES {
        let ram = GuestRam::new(Bytes(gibibytes << 30)).unwrap();
        let set = DirtySet::empty(ram.layout());
        let words = ram.layout().end() / 64;
        let own = times(|| {
            timed(|| {
                let mut counted = Counted(0);
                ram.drain_own_writes(&mut counted);
                assert_eq!(black_box(counted.0), 0);
            })
        });
        let none = times(|| timed(|| assert_eq!(black_box(walk(&set)), 0)));
        let few = times(|| {
            let merged = (0..FEW).map(|page| set.merge(page * words / FEW, 1).0).sum::<u64>();
            timed(|| assert_eq!(black_box(walk(&set)), merged))
        });
        let shown = [own, none, few].map(|(median, most)| format!("{median:.3} ({most:.3})"));
        println!("{gibibytes:>5} GiB {:>20} {:>20} {:>20}", shown[0], shown[1], shown[2]);
    }
}
