//! Migrations of which there is no bill: drawn as if there were one.

use landfall_converge::Policy as Rule;
use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{Outcome, Report};
use maud::Markup;

use super::html::foretold_figure;
use crate::model::{Point, Prediction, Settings};

/// A migration that is not over, as if it were over now.
#[must_use]
pub fn so_far(settings: &Settings, points: &[Point]) -> Report {
    let last = points.last().copied().unwrap_or_default();
    let highest = points.iter().map(|point| point.throttle).fold(0.0, f64::max);
    Report {
        outcome: Outcome::Cancelled,
        reason: None,
        machine: MachineKind::Kvm,
        policy: if settings.auto_converge { Rule::Adaptive } else { Rule::Off },
        auto_converge: settings.auto_converge,
        hand_over: false,
        total_ms: last.at_ms,
        downtime_ms: 0.0,
        predicted_downtime_ms: 0.0,
        downtime_limit_ms: settings.max_downtime_ms as f64,
        downtime_parts_ms: Default::default(),
        passes: last.pass,
        channels: 1,
        memory_bytes: 0,
        sent_bytes: 0,
        pages: Default::default(),
        bandwidth_bytes_per_second: last.bandwidth_bytes_per_second,
        dirty_rate_bytes_per_second: last.dirty_rate_bytes_per_second,
        max_throttle: highest,
        stolen_ms: 0.0,
        guest_time_share_stolen: 0.0,
        max_stall_ms: 0.0,
        verdict: None,
        integrity: "not_checked".to_owned(),
        timeline: points.iter().map(Into::into).collect(),
        events: Vec::new(),
    }
}

/// What a migration is expected to do, as one small chart; it needs [`super::style_sheet`].
#[must_use]
pub fn foretold(prediction: &Prediction, settings: &Settings) -> Markup {
    foretold_figure(&report(prediction, settings))
}

/// A migration that has not begun, as if all had come as expected.
fn report(prediction: &Prediction, settings: &Settings) -> Report {
    let both = prediction.remaining.iter().zip(&prediction.throttle);
    let points = both.map(|((at_ms, remaining_bytes), (_, throttle))| Point {
        at_ms: *at_ms,
        remaining_bytes: *remaining_bytes,
        throttle: *throttle,
        ..Point::default()
    });
    let points: Vec<Point> = points.collect();
    Report {
        outcome: if prediction.arrives { Outcome::Completed } else { Outcome::GaveUp },
        total_ms: prediction.total_ms,
        downtime_ms: prediction.downtime_ms,
        bandwidth_bytes_per_second: prediction.bandwidth_bytes_per_second,
        stolen_ms: prediction.stolen_ms,
        ..so_far(settings, &points)
    }
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
mod tests;
