//! A report's time line as series of points that a chart can show.

use landfall_migrate::progress::Phase;
use landfall_migrate::report::{EventKind, Outcome, Report, TimePoint};

/// Seconds since the migration began, and a value.
pub(super) type Point = (f64, f64);

/// One value over time, ascending in time. Points without a finite time are left out; a value that is not finite, or
/// negative, becomes zero.
pub(super) fn series(report: &Report, value: impl Fn(&TimePoint) -> f64) -> Vec<Point> {
    let mut points: Vec<Point> = report
        .timeline
        .iter()
        .filter(|point| (0.0..=MOST).contains(&point.at_ms))
        .map(|point| (point.at_ms / 1000.0, finite(value(point))))
        .collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    // The first point is measured a moment after the beginning.
    if let Some((first, value)) = points.first().copied()
        && first > 0.0
    {
        points.insert(0, (0.0, value));
    }
    points
}

/// What was still to be sent, in bytes; nothing once the guest has arrived.
pub(super) fn remaining(report: &Report) -> Vec<Point> {
    let mut points = series(report, |point| point.remaining_bytes as f64);
    let end = finite(report.total_ms) / 1000.0;
    if report.outcome == Outcome::Completed && points.last().is_some_and(|last| last.0 < end) {
        points.push((end, 0.0));
    }
    points
}

/// More than any time, size or rate of a migration; an axis much longer than that cannot be divided into marks.
const MOST: f64 = 1e15;

/// `value`, or zero when it is negative, infinite, not a number or beyond all bounds.
pub(super) fn finite(value: f64) -> f64 {
    if (0.0..=MOST).contains(&value) { value } else { 0.0 }
}

/// The same line with at most four points in each of `columns` columns: where it enters and leaves a column, and how low
/// and how high it goes in between. Drawn `columns` pixels wide, it cannot be told from the whole line.
pub(super) fn thin(points: &[Point], columns: usize) -> Vec<Point> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Vec::new() };
    let width = (last.0 - first.0) / columns.max(1) as f64;
    if points.len() <= columns.saturating_mul(4) || width <= 0.0 {
        return points.to_vec();
    }
    let column = |point: &Point| ((point.0 - first.0) / width).floor();
    let mut thinned = Vec::with_capacity(columns * 4);
    for run in points.chunk_by(|one, other| column(one) == column(other)) {
        let lowest = run.iter().min_by(|one, other| one.1.total_cmp(&other.1));
        let highest = run.iter().max_by(|one, other| one.1.total_cmp(&other.1));
        let mut kept: Vec<Point> =
            [run.first(), lowest, highest, run.last()].into_iter().flatten().copied().collect();
        kept.sort_by(|one, other| one.0.total_cmp(&other.0));
        kept.dedup();
        thinned.extend(kept);
    }
    thinned
}

/// The same line as steps: every value holds until the next one.
pub(super) fn steps(points: &[Point]) -> Vec<Point> {
    let mut steps = Vec::with_capacity(points.len() * 2);
    for (time, value) in points {
        if let Some((_, held)) = steps.last().copied()
            && held != *value
        {
            steps.push((*time, held));
        }
        steps.push((*time, *value));
    }
    steps
}

/// The largest value; zero for none.
pub(super) fn highest(points: &[Point]) -> f64 {
    points.iter().map(|point| point.1).fold(0.0, f64::max)
}

/// How long the migration took, in seconds, as far as its report shows it; never zero, so that it can be an axis.
pub(super) fn seconds(report: &Report) -> f64 {
    let last = report.timeline.iter().map(|point| finite(point.at_ms)).fold(0.0, f64::max);
    (finite(report.total_ms).max(last) / 1000.0).max(0.001)
}

/// When passes began after the first, in seconds, with their numbers.
pub(super) fn passes(report: &Report) -> Vec<(f64, u32)> {
    let begun = report.events.iter().filter_map(|event| match event.kind {
        EventKind::Pass { pass } if pass > 1 && event.at_ms.is_finite() => {
            Some((finite(event.at_ms) / 1000.0, pass))
        }
        _ => None,
    });
    begun.collect()
}

/// When the guest was stopped for the switchover, in seconds; more than once when a switchover was abandoned.
pub(super) fn switchovers(report: &Report) -> Vec<f64> {
    let begun = report.events.iter().filter_map(|event| match event.kind {
        EventKind::Phase { phase: Phase::Switchover } if event.at_ms.is_finite() => {
            Some(finite(event.at_ms) / 1000.0)
        }
        _ => None,
    });
    begun.collect()
}

/// What fits into the downtime allowed, in bytes, at the bandwidth that there was.
pub(super) fn fits_into_downtime(report: &Report) -> f64 {
    finite(finite(report.bandwidth_bytes_per_second) * finite(report.downtime_limit_ms) / 1000.0)
}

/// A unit in which a chart shows its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    /// What one of it is.
    pub(super) factor: f64,
    /// What it is called.
    pub(super) name: &'static str,
}

const fn unit(factor: f64, name: &'static str) -> Unit {
    Unit { factor, name }
}

const SIZES: [Unit; 4] = [
    unit(1_099_511_627_776.0, "TiB"),
    unit(1_073_741_824.0, "GiB"),
    unit(1_048_576.0, "MiB"),
    unit(1024.0, "KiB"),
];
const RATES: [Unit; 4] =
    [unit(1e12, "TB/s"), unit(1e9, "GB/s"), unit(1e6, "MB/s"), unit(1e3, "kB/s")];

impl Unit {
    /// The unit in which sizes up to `highest` bytes read best.
    pub(super) fn of_size(highest: f64) -> Self {
        Self::among(SIZES, highest)
    }

    /// The unit in which rates up to `highest` bytes a second read best.
    pub(super) fn of_rate(highest: f64) -> Self {
        Self::among(RATES, highest)
    }

    fn among([largest, rest @ ..]: [Self; 4], highest: f64) -> Self {
        let smallest = rest[2];
        // An axis to 1.2 GiB reads better in MiB; one to 3 GiB reads better in GiB.
        let fits = |unit: &Self| highest >= unit.factor * 2.0;
        std::iter::once(largest).chain(rest).find(fits).unwrap_or(smallest)
    }

    /// The points in this unit.
    pub(super) fn scale(self, points: &[Point]) -> Vec<Point> {
        points.iter().map(|(time, value)| (*time, value / self.factor)).collect()
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
mod tests;
