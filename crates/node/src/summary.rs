//! A report in sentences.

use landfall_converge::{ByteRate, Bytes};
use landfall_migrate::report::{Outcome, Report};

use crate::model::MigrationView;
use crate::quantities::milliseconds;

/// What happened, in a sentence or two.
#[must_use]
pub fn summary(report: &Report) -> String {
    let total = milliseconds(report.total_ms);
    match report.outcome {
        Outcome::Completed if report.hand_over => format!(
            "handed over in {total} with {} of downtime (limit {}); none of {} of memory copied; \
             integrity: {}",
            milliseconds(report.downtime_ms),
            milliseconds(report.downtime_limit_ms),
            Bytes(report.memory_bytes),
            integrity(report),
        ),
        Outcome::Completed => format!(
            "arrived in {total} with {} of downtime (limit {}); {}; {} sent for {} of memory; \
             integrity: {}",
            milliseconds(report.downtime_ms),
            milliseconds(report.downtime_limit_ms),
            stolen(report),
            Bytes(report.sent_bytes),
            Bytes(report.memory_bytes),
            integrity(report),
        ),
        Outcome::GaveUp => format!("did not arrive: gave up after {total}; {}", rates(report)),
        Outcome::Cancelled => format!("cancelled after {total}; the guest runs on at the source"),
        Outcome::Failed => format!("failed after {total}; the guest runs on at the source"),
        Outcome::InDoubt if report.hand_over => {
            format!(
                "in doubt after {total}: the destination has the guest, and has not said that it runs"
            )
        }
        Outcome::InDoubt => {
            format!("in doubt after {total}: it is not known which side has the guest")
        }
    }
}

/// Whether it has turned out who has a guest of which the bill says that this is in doubt.
#[must_use]
pub fn was_settled(migration: &MigrationView) -> bool {
    let doubted = migration.report.as_ref().is_some_and(|it| it.outcome == Outcome::InDoubt);
    doubted && migration.state.is_final()
}

fn stolen(report: &Report) -> String {
    if report.stolen_ms == 0.0 {
        return "the guest was never throttled".to_owned();
    }
    format!(
        "{} of guest time stolen ({:.0} %), no stall longer than {}",
        milliseconds(report.stolen_ms),
        report.guest_time_share_stolen * 100.0,
        milliseconds(report.max_stall_ms)
    )
}

fn rates(report: &Report) -> String {
    let dirty_rate = ByteRate::new(report.dirty_rate_bytes_per_second);
    let bandwidth = ByteRate::new(report.bandwidth_bytes_per_second);
    let mut text = format!("the guest dirties {dirty_rate}, the link carries {bandwidth}");
    if let Some(verdict) = report.verdict.as_ref().filter(|it| !it.needed_throttle.is_none()) {
        text += &format!("; needs at least {} throttle", verdict.needed_throttle);
    }
    text
}

fn integrity(report: &Report) -> &str {
    match report.integrity.as_str() {
        "not_checked" => "not checked",
        other => other,
    }
}

/// What to do now, when the guest has not arrived.
#[must_use]
pub fn advice(report: &Report) -> Option<&'static str> {
    match report.outcome {
        Outcome::Completed => None,
        Outcome::GaveUp if !report.auto_converge => {
            Some("the guest runs on at the source; let it be throttled with --auto-converge on")
        }
        Outcome::GaveUp => Some(
            "the guest runs on at the source; allow more with --time-limit, --max-throttle or \
             --max-downtime, or give it a faster link",
        ),
        Outcome::Cancelled => Some("the guest runs on at the source; migrate again at any time"),
        Outcome::Failed => {
            Some("the guest runs on at the source; remove the cause, then migrate again")
        }
        Outcome::InDoubt if report.hand_over => Some(
            "look at the destination with `landfall status SOCKET`; if the guest is not there, it is lost: start it anew",
        ),
        Outcome::InDoubt => Some(
            "look at both machines with `landfall status SOCKET`; `landfall settle SOCKET discard` on one \
             side first, then `landfall settle SOCKET run` on the other",
        ),
    }
}

#[cfg(test)]
#[path = "summary_fixture.rs"]
pub(crate) mod tests_report;

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
