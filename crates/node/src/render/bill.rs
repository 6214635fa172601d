//! The figures of runs beside each other, and where the downtime went.

use landfall_converge::{ByteRate, Bytes, Throttle, Verdict, VerdictState};
use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{DowntimeParts, Outcome, PageCounts, Report};

use super::series::finite;
use crate::quantities::milliseconds;

type Figure = fn(&Report) -> String;

/// Figures that belong together.
pub(super) const GROUPS: &[(&str, &[(&str, Figure)])] = &[
    (
        "End",
        &[
            ("Outcome", |run| outcome(run.outcome).to_owned()),
            ("Total time", |run| time(run.total_ms)),
            ("Guest's memory afterwards", |run| integrity(&run.integrity)),
            ("Last verdict", |run| run.verdict.as_ref().map_or_else(dash, verdict)),
        ],
    ),
    (
        "Downtime",
        &[
            ("Downtime", |run| if_arrived(run, time(run.downtime_ms))),
            ("Allowed", |run| time(run.downtime_limit_ms)),
            ("Predicted", |run| if_arrived(run, time(run.predicted_downtime_ms))),
        ],
    ),
    (
        "Cost to the guest",
        &[
            ("Guest time stolen", |run| time(run.stolen_ms)),
            ("Share of the migration", |run| {
                format!("{:.1} %", finite(run.guest_time_share_stolen) * 100.0)
            }),
            ("Hardest throttle", |run| Throttle::new(run.max_throttle).to_string()),
            ("Longest stall", |run| time(run.max_stall_ms)),
        ],
    ),
    (
        "Cost to the link",
        &[
            ("Passes", |run| run.passes.to_string()),
            ("Guest's memory", |run| Bytes(run.memory_bytes).to_string()),
            ("Sent", |run| Bytes(run.sent_bytes).to_string()),
            ("Sent for each byte of memory", |run| times(run.sent_bytes, run.memory_bytes)),
            ("Pages sent", |run| pages(run.pages)),
            ("Bandwidth", |run| rate(run.bandwidth_bytes_per_second)),
            ("Dirty rate, unthrottled", |run| rate(run.dirty_rate_bytes_per_second)),
        ],
    ),
    (
        "Run",
        &[
            ("Machine", |run| machine(run.machine).to_owned()),
            ("Auto-converge", |run| if run.auto_converge { "on" } else { "off" }.to_owned()),
            ("Policy", |run| run.policy.to_string()),
        ],
    ),
];

/// How a run ended, in a word or two.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "arrived",
        Outcome::GaveUp => "gave up",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
        Outcome::InDoubt => "in doubt",
    }
}

fn machine(kind: MachineKind) -> &'static str {
    match kind {
        MachineKind::Kvm => "KVM guest",
        MachineKind::Synthetic => "synthetic guest (native threads, no KVM)",
        MachineKind::Qemu => "QEMU process",
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict.state {
        VerdictState::Measuring => "measuring".to_owned(),
        VerdictState::Converging => "converging".to_owned(),
        VerdictState::NeedsThrottle => format!("needs {} throttle", verdict.needed_throttle),
        VerdictState::Stalled => "stalled".to_owned(),
        VerdictState::CannotConverge => "cannot converge".to_owned(),
    }
}

fn integrity(integrity: &str) -> String {
    match integrity {
        "ok" => "checked: nothing lost".to_owned(),
        "not_checked" => "not checked".to_owned(),
        other => other.to_owned(),
    }
}

fn dash() -> String {
    "–".to_owned()
}

fn if_arrived(run: &Report, text: String) -> String {
    if run.outcome == Outcome::Completed { text } else { dash() }
}

/// A duration for people, whatever the number is. Its number and unit stay on one line.
pub(super) fn time(ms: f64) -> String {
    milliseconds(finite(ms)).replace(' ', "\u{a0}")
}

/// A rate for people.
pub(super) fn rate(bytes_per_second: f64) -> String {
    ByteRate::new(finite(bytes_per_second)).to_string()
}

fn times(sent: u64, memory: u64) -> String {
    if memory == 0 { dash() } else { format!("{:.2}", sent as f64 / memory as f64) }
}

fn pages(pages: PageCounts) -> String {
    let kinds = [
        (pages.raw, "raw"),
        (pages.zero, "zero"),
        (pages.delta, "delta"),
        (pages.compressed, "compressed"),
    ];
    let sent = kinds.iter().filter(|(count, _)| *count > 0);
    let sent: Vec<String> =
        sent.map(|(count, kind)| format!("{} {kind}", grouped(*count))).collect();
    if sent.is_empty() { "none".to_owned() } else { sent.join(", ") }
}

/// `1234567` as `1 234 567`, with narrow spaces that do not break.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// The parts of a downtime in the order in which they happen, in milliseconds.
pub(super) fn parts(parts: &DowntimeParts) -> [(&'static str, f64); 6] {
    [
        ("stop", parts.stop),
        ("last sync", parts.last_sync),
        ("last pages", parts.last_pages),
        ("device state", parts.device_state),
        ("commit", parts.commit),
        ("resume", parts.resume),
    ]
    .map(|(name, ms)| (name, finite(ms)))
}

#[cfg(test)]
#[path = "bill_tests.rs"]
mod tests;
