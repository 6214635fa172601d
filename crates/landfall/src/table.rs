//! Reports side by side.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use landfall_converge::{ByteRate, Bytes, Throttle};
use landfall_migrate::report::{Outcome, PageCounts, Report};

use crate::quantities::milliseconds;

/// One column a report, with its title, unless that is empty; one row a figure.
pub(crate) fn table(runs: &[(String, &Report)]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    if runs.iter().any(|(title, _)| !title.is_empty()) {
        let titles = runs.iter().map(|(title, _)| right(title));
        table.set_header(std::iter::once(Cell::new("")).chain(titles));
    }
    for (name, figure) in ROWS {
        let figures = runs.iter().map(|(_, report)| right(&figure(report)));
        table.add_row(std::iter::once(Cell::new(name)).chain(figures));
    }
    table.to_string()
}

fn right(text: &str) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

type Figure = fn(&Report) -> String;

const ROWS: &[(&str, Figure)] = &[
    ("outcome", |report| outcome(report.outcome).to_owned()),
    ("total time", |report| milliseconds(report.total_ms)),
    ("downtime", |report| if_arrived(report, milliseconds(report.downtime_ms))),
    ("  predicted", |report| if_arrived(report, milliseconds(report.predicted_downtime_ms))),
    ("  limit", |report| milliseconds(report.downtime_limit_ms)),
    ("passes", |report| report.passes.to_string()),
    ("channels", |report| channels(report.channels)),
    ("sent", |report| Bytes(report.sent_bytes).to_string()),
    ("  of memory", |report| times(report.sent_bytes, report.memory_bytes)),
    ("pages sent", |report| pages(report.pages)),
    ("bandwidth", |report| ByteRate::new(report.bandwidth_bytes_per_second).to_string()),
    ("dirty rate, free", |report| ByteRate::new(report.dirty_rate_bytes_per_second).to_string()),
    ("hardest throttle", |report| Throttle::new(report.max_throttle).to_string()),
    ("guest time stolen", |report| milliseconds(report.stolen_ms)),
    ("  share of it", |report| format!("{:.1} %", report.guest_time_share_stolen * 100.0)),
    ("longest stall", |report| milliseconds(report.max_stall_ms)),
    ("integrity", |report| report.integrity.replace('_', " ")),
];

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "arrived",
        Outcome::GaveUp => "gave up",
        Outcome::Cancelled => "cancelled",
        Outcome::Failed => "failed",
        Outcome::InDoubt => "in doubt",
    }
}

fn if_arrived(report: &Report, text: String) -> String {
    if report.outcome == Outcome::Completed { text } else { "–".to_owned() }
}

fn channels(channels: u16) -> String {
    if channels == 0 { "–".to_owned() } else { channels.to_string() }
}

fn times(sent: u64, memory: u64) -> String {
    if memory == 0 { "–".to_owned() } else { format!("{:.2} ×", sent as f64 / memory as f64) }
}

fn pages(pages: PageCounts) -> String {
    let kinds = [
        (pages.raw, "raw"),
        (pages.zero, "zero"),
        (pages.delta, "delta"),
        (pages.compressed, "compressed"),
    ];
    let sent: Vec<_> = kinds
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, kind)| format!("{count} {kind}"))
        .collect();
    if sent.is_empty() { "none".to_owned() } else { sent.join(", ") }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
