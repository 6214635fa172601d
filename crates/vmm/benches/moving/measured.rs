//! What a run took.

use std::time::{Duration, Instant};

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) time: Duration,
    /// Of the processors, by both sides together.
    pub(crate) processor: Duration,
    pub(crate) sent: u64,
}

/// Measures `run`, which says how much was sent.
pub(crate) fn measure(run: impl FnOnce() -> u64) -> Measured {
    let (before, began) = (processor_time(), Instant::now());
    let sent = run();
    Measured { time: began.elapsed(), processor: processor_time().saturating_sub(before), sent }
}

/// What this process has taken of the processors.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name, in brackets, may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // 100 a second, on every Linux there is.
    Duration::from_millis(ticks * 10)
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
