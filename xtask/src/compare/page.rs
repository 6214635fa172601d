//! The comparison as a page: one file that fetches nothing and runs nothing.

use landfall_converge::{ByteRate, Bytes, Throttle};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::contender::{Contender, Engine};
use super::figures::Figure;
use super::result::{Cell, Comparison, Entry, Summary};

const LAYOUT: &str = include_str!("page.css");

/// What is drawn: a name, how its values are written, and where they come from.
struct Chart {
    name: &'static str,
    about: &'static str,
    show: fn(f64) -> String,
    value: fn(&Summary) -> Option<Figure>,
    /// What the simulator says of it.
    predicted: fn(&Entry) -> Option<f64>,
}

const CHARTS: &[Chart] = &[
    Chart {
        name: "Total time",
        about: "from the command to the end; a run that does not arrive ends at the time limit",
        show: time,
        value: |summary| Some(summary.total_ms),
        predicted: |entry| entry.prediction.as_ref().map(|prediction| prediction.total_ms),
    },
    Chart {
        name: "Guest work lost",
        about: "time at full speed for the work not done, downtime included",
        show: time,
        value: |summary| Some(summary.work_lost_ms),
        predicted: |entry| entry.prediction.as_ref().map(|prediction| prediction.work_lost_ms),
    },
    Chart {
        name: "Longest gap in a heartbeat",
        about: "of any vCPU, the downtime left out",
        show: time,
        value: |summary| Some(summary.longest_gap_ms),
        predicted: |_| None,
    },
    Chart {
        name: "Downtime",
        about: "as the engine reports it, of the runs that arrived",
        show: time,
        value: |summary| summary.downtime_ms,
        predicted: |entry| entry.prediction.as_ref().map(|prediction| prediction.downtime_ms),
    },
    Chart {
        name: "Sent",
        about: "bytes that left for the destination",
        show: bytes,
        value: |summary| Some(summary.sent_bytes),
        predicted: |entry| entry.prediction.as_ref().map(|prediction| prediction.sent_bytes),
    },
];

/// The page.
pub(super) fn page(comparison: &Comparison) -> String {
    let settings = &comparison.settings;
    let host = &comparison.host;
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Landfall and QEMU side by side" }
                style { (PreEscaped(LAYOUT)) }
            }
            body {
                h1 { "The same guest under QEMU and under Landfall" }
                p {
                    (Bytes(settings.memory_bytes)) " of memory, both ends on one machine, a downtime of "
                    (time(settings.downtime_limit_ms)) " allowed, " (settings.runs) " runs of each in turns, at most "
                    (time(settings.time_limit_ms)) " each. " (settings.link.sentence()) " Bars are medians, thin lines go from the least to the most, a "
                    "hollow mark is what the simulator says."
                }
                p.muted {
                    "QEMU " (host.qemu_version.as_deref().unwrap_or("not installed")) "; Landfall " (host.landfall_version)
                    "; " (host.cpus) " processors, Linux " (host.kernel)
                }
                @for note in &comparison.notes { p.note { (note) } }
                @for cell in &comparison.cells { (section(cell)) }
            }
        }
    };
    markup.into_string()
}

fn section(cell: &Cell) -> Markup {
    html! {
        section {
            h2 { (cell.row) " over " (ByteRate::new(cell.bandwidth_bytes_per_second)) }
            p { "The guest " (cell.about) "." }
            div.charts { @for chart in CHARTS { (drawn(chart, cell)) } }
            div.scroll { (figures(cell)) }
        }
    }
}

fn drawn(chart: &Chart, cell: &Cell) -> Markup {
    let rows: Vec<_> = cell
        .contenders
        .iter()
        .map(|entry| {
            let figure = entry.summary.as_ref().and_then(chart.value);
            (entry, figure, (chart.predicted)(entry))
        })
        .collect();
    let most = rows.iter().flat_map(|(_, figure, predicted)| {
        [figure.map_or(0.0, |figure| figure.max), predicted.unwrap_or_default()]
    });
    let most = most.fold(0.0, f64::max);
    html! {
        figure {
            figcaption { b { (chart.name) } ", " (chart.about) }
            @for (entry, figure, predicted) in &rows {
                div.row {
                    span.name { (entry.contender.name()) }
                    div.track {
                        @if let Some(figure) = figure {
                            div.bar.(class(entry.contender)) style={ "width:" (percent(figure.median, most)) } {}
                            div.spread style={
                                "left:" (percent(figure.min, most)) ";width:"
                                (percent(figure.max - figure.min.max(0.0), most))
                            } {}
                        }
                        @if let Some(predicted) = predicted {
                            div.mark style={ "left:" (percent(*predicted, most)) } {}
                        }
                    }
                    span.value { @if let Some(figure) = figure { ((chart.show)(figure.median)) } @else { "–" } }
                }
            }
        }
    }
}

fn figures(cell: &Cell) -> Markup {
    html! {
        table {
            thead { tr {
                @for name in [
                    "", "arrived", "memory whole", "throttle, at most", "downtime seen by the guest", "share of work lost",
                    "by vCPU", "by vCPU, without the downtime", "gap before", "host's load", "simulated total", "simulated work lost", "simulated sent",
                ] { th scope="col" { (name) } }
            } }
            tbody { @for entry in &cell.contenders { @if let Some(summary) = &entry.summary { tr {
                th scope="row" { (entry.contender.name()) }
                td { (summary.arrived) " of " (summary.runs) }
                td { (summary.whole) " of " (summary.runs) }
                td { (Throttle::new(summary.max_throttle.max)) }
                td { (summary.guest_downtime_ms.map_or_else(dash, |figure| time(figure.median))) }
                td { (share(summary.work_lost_share.median)) }
                td { (by_vcpu(&summary.work_lost_share_by_vcpu)) }
                td { (by_vcpu(&summary.work_lost_apart_from_downtime_by_vcpu)) }
                td { (time(summary.longest_gap_before_ms.median)) }
                td { (format!("{:.1}", summary.host_load.median)) }
                td { (said(entry, |it| (it.total_ms, it.total_error), time)) }
                td { (said(entry, |it| (it.work_lost_ms, it.work_lost_error), time)) }
                td { (said(entry, |it| (it.sent_bytes, it.sent_error), bytes)) }
            } } } }
        }
    }
}

type Said = fn(&super::prediction::Prediction) -> (f64, Option<f64>);

/// What the simulator says, and by how much it happened otherwise.
fn said(entry: &Entry, of: Said, show: fn(f64) -> String) -> String {
    let Some(prediction) = &entry.prediction else { return "no model".to_owned() };
    if !prediction.arrives {
        let agrees = if prediction.agrees { "" } else { ", but did" };
        return format!("does not arrive{agrees}");
    }
    match of(prediction) {
        (value, Some(error)) => format!("{} ({:+.0} %)", show(value), error * 100.0),
        (value, None) => show(value),
    }
}

fn by_vcpu(figures: &[Figure]) -> String {
    figures.iter().map(|figure| share(figure.median)).collect::<Vec<_>>().join(", ")
}

fn class(contender: Contender) -> &'static str {
    match (contender.engine(), contender) {
        (Engine::Qemu, _) => "qemu",
        (Engine::Landfall, Contender::Adaptive) => "adaptive",
        (Engine::Landfall, _) => "landfall",
    }
}

fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    format!("{:.2}%", share * 100.0)
}

fn share(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn dash() -> String {
    "–".to_owned()
}

/// A duration in milliseconds, for people.
pub(super) fn time(ms: f64) -> String {
    if ms.abs() >= 1000.0 { format!("{:.2} s", ms / 1000.0) } else { format!("{ms:.0} ms") }
}

/// A count of bytes, for people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of bytes that was one before"
)]
pub(super) fn bytes(bytes: f64) -> String {
    Bytes(bytes as u64).to_string()
}
