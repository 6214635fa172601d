//! The guest model that explains a measured curve best.

use super::{DirtyMeasurement, FittedLoad};
use crate::simulator::{Rhythm, Workload};
use crate::units::{ByteRate, Bytes};

/// How full a working set is once each of its pages was written `writes` times on average.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Sweep,
    Random,
    HotAndCold { hot: f64, hot_share: f64 },
}

/// Tried for a hot range: its share of the set, and of the writes.
const HOT_SETS: [f64; 7] = [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5];
const HOT_SHARES: [f64; 5] = [0.7, 0.8, 0.9, 0.95, 0.99];
/// The model of two ranges has two more numbers to turn: it must explain the curve so much better than one range.
const CLEARLY_BETTER: f64 = 0.25;
/// The mean error of a window, as a share of it, that one range may leave unexplained.
const GOOD_ENOUGH: f64 = 0.03;
/// A set that was written to this share has been seen.
const SEEN: f64 = 0.9;
/// The step from one speed that is tried to the next.
const STEP: f64 = 1.02;

/// A shape at a scale: pages and speed.
#[derive(Clone, Copy, Debug)]
struct Fit {
    shape: Shape,
    /// Bytes.
    set: f64,
    /// Bytes a second.
    rate: f64,
    /// The mean square of the error, as a share of what was measured.
    error: f64,
}

impl Shape {
    fn filled(self, writes: f64) -> f64 {
        match self {
            Self::Sweep => writes.min(1.0),
            Self::Random => 1.0 - (-writes).exp(),
            Self::HotAndCold { hot, hot_share } => {
                let part = |size: f64, share: f64| size * (1.0 - (-share * writes / size).exp());
                part(hot, hot_share) + part(1.0 - hot, 1.0 - hot_share)
            }
        }
    }

    /// The best fit of this shape: every speed is tried, and the size follows from the speed.
    fn fitted(self, points: &[(f64, f64)]) -> Fit {
        let (shortest, longest) = match (points.first(), points.last()) {
            (Some(first), Some(last)) => (first.0, last.0),
            _ => (1.0, 1.0),
        };
        let mut best = Fit { shape: self, set: 0.0, rate: 0.0, error: f64::INFINITY };
        // In writes of each page a second: from a set of which next to nothing was seen to one that is full at once.
        let mut speed = 0.02 / longest;
        while speed < 10.0 / shortest {
            let logs = points.iter().map(|(time, distinct)| {
                (distinct / self.filled(speed * time).max(f64::MIN_POSITIVE)).ln()
            });
            let logs: Vec<f64> = logs.collect();
            let size = logs.iter().sum::<f64>() / logs.len() as f64;
            let error =
                logs.iter().map(|log| (log - size).powi(2)).sum::<f64>() / logs.len() as f64;
            if error < best.error {
                let set = size.exp();
                best = Fit { shape: self, set, rate: speed * set, error };
            }
            speed *= STEP;
        }
        best
    }
}

pub(super) fn load(measured: &DirtyMeasurement) -> FittedLoad {
    let points = points(measured);
    let Some((_, seen)) = points.last().copied() else {
        return FittedLoad { rate: ByteRate::ZERO, workload: Workload::Idle, is_bounded: true };
    };
    let fit = best(&points);
    let is_bounded = seen >= fit.set * SEEN;
    let set = if is_bounded {
        // What was seen is certain; what a model adds to it is not.
        fit.set.max(seen)
    } else {
        seen.max(measured.non_zero.0 as f64)
    };
    let set = measured.memory.part((set / measured.memory.0.max(1) as f64).min(1.0));
    let workload = match fit.shape {
        Shape::Sweep => Workload::Sweep { set },
        Shape::Random => Workload::Random { set },
        Shape::HotAndCold { hot, hot_share } => {
            let hot = set.part(hot);
            Workload::HotAndCold { hot, cold: set.saturating_sub(hot), hot_share }
        }
    };
    FittedLoad { rate: ByteRate::new(fit.rate), workload, is_bounded }
}

/// Seconds and bytes. Of a guest that writes in bursts those windows that fit into a burst, as they are within one, and
/// the longest, which has seen several.
fn points(measured: &DirtyMeasurement) -> Vec<(f64, f64)> {
    let windows = measured.windows.iter().filter(|(time, set)| !time.is_zero() && set.0 > 0);
    let points: Vec<_> = windows.map(|(time, set)| (time.as_secs_f64(), set.0 as f64)).collect();
    let Rhythm::Bursts { on, off } = measured.rhythm else { return points };
    let (on, off) = (on.as_secs_f64(), off.as_secs_f64());
    let share = on / (on + off);
    let Some((longest, all)) = points.last().copied() else { return points };
    let mut within: Vec<_> = points
        .iter()
        .filter(|(time, _)| *time <= on / 4.0)
        .map(|(time, distinct)| (*time, distinct / share))
        .collect();
    within.push((longest * share, all));
    within
}

fn best(points: &[(f64, f64)]) -> Fit {
    let (sweep, random) = (Shape::Sweep.fitted(points), Shape::Random.fitted(points));
    let simple = if sweep.error <= random.error { sweep } else { random };
    if simple.error <= GOOD_ENOUGH * GOOD_ENOUGH {
        return simple;
    }
    let shapes = HOT_SETS.iter().flat_map(|hot| {
        let shape = |hot_share: &f64| Shape::HotAndCold { hot: *hot, hot_share: *hot_share };
        HOT_SHARES.iter().map(shape)
    });
    let parted =
        shapes.map(|shape| shape.fitted(points)).min_by(|a, b| a.error.total_cmp(&b.error));
    parted.filter(|parted| parted.error < simple.error * CLEARLY_BETTER).unwrap_or(simple)
}

impl Workload {
    /// The same on `share` of the pages.
    pub(super) fn scaled(self, share: f64) -> Self {
        let part = |set: Bytes| set.part(share);
        match self {
            Self::Idle => Self::Idle,
            Self::Sweep { set } => Self::Sweep { set: part(set) },
            Self::Random { set } => Self::Random { set: part(set) },
            Self::HotAndCold { hot, cold, hot_share } => {
                Self::HotAndCold { hot: part(hot), cold: part(cold), hot_share }
            }
        }
    }
}
