//! The bill of a migration that a pilot has steered, as the report that every migration has.

use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{EventKind, Outcome, PageCounts, Report, TimeLineEvent, TimePoint};
use landfall_pilot::{Bill, Outcome as Ended};

use crate::quantities::in_ms;

/// The bill as the report that every migration of Landfall's has; `None` for one that goes on without us.
#[must_use]
pub fn report(bill: &Bill, auto_converge: bool) -> Option<Report> {
    let outcome = match bill.outcome {
        Ended::Completed => Outcome::Completed,
        Ended::GaveUp => Outcome::GaveUp,
        Ended::Cancelled => Outcome::Cancelled,
        Ended::Failed => Outcome::Failed,
        Ended::InDoubt => Outcome::InDoubt,
        Ended::Detached => return None,
    };
    let total = bill.total.as_secs_f64();
    let stolen = bill.stolen.as_secs_f64();
    let share = if total > 0.0 { stolen / total } else { 0.0 };
    let predicted = bill.timeline.last().filter(|_| outcome == Outcome::Completed);
    let predicted = predicted.map_or(0.0, |point| {
        let bandwidth = bill.bandwidth.bytes_per_second();
        if bandwidth > 0.0 { point.remaining.0 as f64 / bandwidth * 1e3 } else { 0.0 }
    });
    Some(Report {
        outcome,
        reason: bill.reason.clone(),
        machine: MachineKind::Qemu,
        policy: if auto_converge {
            landfall_converge::Policy::Adaptive
        } else {
            landfall_converge::Policy::Off
        },
        auto_converge,
        hand_over: false,
        total_ms: in_ms(bill.total),
        downtime_ms: in_ms(bill.downtime),
        predicted_downtime_ms: predicted,
        downtime_limit_ms: in_ms(bill.downtime_limit),
        downtime_parts_ms: Default::default(),
        passes: bill.passes,
        channels: 0,
        memory_bytes: bill.memory.0,
        sent_bytes: bill.sent.0,
        pages: PageCounts { zero: bill.zero_pages, raw: bill.pages, ..PageCounts::default() },
        bandwidth_bytes_per_second: bill.bandwidth.bytes_per_second(),
        dirty_rate_bytes_per_second: bill.dirty_rate.bytes_per_second(),
        max_throttle: bill.max_throttle.share(),
        stolen_ms: in_ms(bill.stolen),
        guest_time_share_stolen: share,
        max_stall_ms: in_ms(bill.max_stall()),
        verdict: bill.verdict.clone(),
        integrity: "not_checked".to_owned(),
        timeline: timeline(bill),
        events: events(bill),
    })
}

fn timeline(bill: &Bill) -> Vec<TimePoint> {
    let point = |point: &landfall_pilot::Point| TimePoint {
        at_ms: in_ms(point.at),
        pass: point.pass,
        remaining_bytes: point.remaining.0,
        dirty_rate_bytes_per_second: point.dirty_rate.bytes_per_second(),
        bandwidth_bytes_per_second: point.bandwidth.bytes_per_second(),
        throttle: point.throttle.share(),
    };
    bill.timeline.iter().map(point).collect()
}

fn events(bill: &Bill) -> Vec<TimeLineEvent> {
    let event = |change: &landfall_pilot::Change| TimeLineEvent {
        at_ms: in_ms(change.at),
        kind: EventKind::Throttle {
            throttle: change.throttle.share(),
            reason: change.reason.clone(),
        },
    };
    bill.changes.iter().map(event).collect()
}

#[cfg(test)]
#[path = "qemu_report_tests.rs"]
mod tests;
