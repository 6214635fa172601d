//! One page that tells everything about a few runs.

use landfall_converge::Throttle;
use landfall_migrate::progress::Phase;
use landfall_migrate::report::{EventKind, Outcome, Report, TimeLineEvent};
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::bill::{GROUPS, outcome, parts, time};
use super::chart::{Chart, Width, charts};
use super::palette;
use super::picture::{capitalised, foretold, inline, run_name, unit};
use super::plot::DrawError;
use super::series::finite;
use crate::summary::advice;

const LAYOUT: &str = include_str!("page.css");

/// The most decisions that a page lists for one run.
const MOST_DECISIONS: usize = 200;

/// The runs as one page: figures beside each other, charts over time, and every decision with its reason. The page is one
/// file, fetches nothing and runs nothing.
#[must_use]
pub fn html(title: &str, reports: &[Report]) -> String {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(palette::style_sheet())) (PreEscaped(LAYOUT)) }
            }
            body {
                header { h1 { (capitalised(title)) } }
                main.one[reports.len() == 1] {
                    @if reports.is_empty() { p { "There is nothing to report: no migration was run." } }
                    @else {
                        @if reports.len() > 1 { (overview(reports)) }
                        div.runs { @for report in reports { (run(report)) } }
                        (figures(reports))
                        (words())
                    }
                }
                footer { p { "Landfall " (env!("CARGO_PKG_VERSION")) } }
            }
        }
    };
    page.into_string()
}

fn overview(reports: &[Report]) -> Markup {
    markup! {
        section.overview aria-label="All runs" {
            figure.chart {
                figcaption {
                    b { "Memory still to send" } ", " (unit(reports))
                    span.legend {
                        span { span.swatch.b-throttle {} "throttle (full height: 100 %)" }
                        span { span.swatch.b-limit {} "fits into the downtime allowed" }
                        span { span.swatch.b-still {} "downtime" }
                    }
                }
                (drawn(|width| inline(reports, width), &[("narrow", 340), ("wide", 620), ("widest", 1080)]))
            }
        }
    }
}

fn run(report: &Report) -> Markup {
    markup! {
        article.run {
            div.head {
                h2 { (run_name(report)) " " span.badge.(badge(report.outcome)) { (outcome(report.outcome)) } }
                p.headline { (headline(report)) }
            }
            div.why {
                @if let Some(reason) = &report.reason { p { (capitalised(reason)) } }
                @if let Some(belief) = belief(report) { p { (capitalised(belief)) } }
                @if let Some(advice) = advice(report) { p.advice { (capitalised(advice)) } }
            }
            (downtime(report))
            @for chart in charts(report) { (figure(&chart)) }
            (decisions(report))
        }
    }
}

pub(super) fn figures_of(report: &Report) -> Markup {
    markup! { @for chart in charts(report) { (figure(&chart)) } }
}

/// A migration that has not begun, as if all had come as expected.
pub(super) fn foretold_figure(report: &Report) -> Markup {
    let held = finite(report.max_throttle) > 0.0;
    markup! {
        figure.chart {
            figcaption {
                b { "Memory still to send, as expected" } ", " (unit(std::slice::from_ref(report)))
                span.legend {
                    @if held { span { span.swatch.b-throttle {} "throttle (full height: 100 %)" } }
                    span { span.swatch.b-limit {} "fits into the downtime allowed" }
                    @if report.outcome == Outcome::Completed { span { span.swatch.b-still {} "downtime" } }
                }
            }
            (drawn(|width| foretold(report, width), &[("narrow", 340), ("wide", 980)]))
        }
    }
}

/// What the controller believed last, unless the reason says it already.
fn belief(report: &Report) -> Option<&str> {
    let text = report.verdict.as_ref()?.text.as_str();
    let said = report.reason.as_ref().is_some_and(|reason| reason.contains(text));
    (!said).then_some(text)
}

fn badge(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "good",
        Outcome::Cancelled => "plain",
        Outcome::GaveUp | Outcome::Failed | Outcome::InDoubt => "bad",
    }
}

fn headline(report: &Report) -> String {
    let total = time(report.total_ms);
    let end = match report.outcome {
        Outcome::Completed => format!(
            "Arrived in {total}. The guest stood still for {} of the {} allowed.",
            time(report.downtime_ms),
            time(report.downtime_limit_ms)
        ),
        Outcome::GaveUp => format!("Did not arrive: gave up after {total}."),
        Outcome::Cancelled => format!("Did not arrive: cancelled after {total}."),
        Outcome::Failed => format!("Did not arrive: failed after {total}."),
        Outcome::InDoubt => {
            format!("In doubt after {total}: it is not known which side has the guest.")
        }
    };
    if finite(report.stolen_ms) == 0.0 {
        return format!("{end} The guest was never throttled.");
    }
    format!(
        "{end} The throttle took {} of guest time, never more than {} at a stretch.",
        time(report.stolen_ms),
        time(report.max_stall_ms)
    )
}

fn downtime(report: &Report) -> Markup {
    let all = parts(&report.downtime_parts_ms);
    let sum: f64 = all.iter().map(|(_, ms)| ms).sum();
    let (took, limit) = (finite(report.downtime_ms).max(sum), finite(report.downtime_limit_ms));
    markup! {
        section.downtime {
            h3 { "Downtime" }
            @if report.outcome != Outcome::Completed && finite(report.downtime_ms) == 0.0 {
                p.muted { "None: the guest was not moved." }
            } @else {
                @let axis = took.max(limit);
                // What the list below tells in words.
                div.bar aria-hidden="true" {
                    @for (index, (_, ms)) in all.iter().enumerate() {
                        span.{ "part-" (index) } style={ "width:" (percent(*ms, axis)) } {}
                    }
                    @if limit > 0.0 { i style={ "left:" (percent(limit, axis)) } {} }
                }
                ul.parts {
                    @for (index, (name, ms)) in all.iter().enumerate() {
                        li { span.swatch.{ "part-" (index) } {} (name) " " b { (time(*ms)) } }
                    }
                    li.limit { span.swatch.limit {} "allowed " b { (time(limit)) } }
                }
            }
        }
    }
}

fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.2}%", part / whole * 100.0) } else { "0".to_owned() }
}

fn figure(chart: &Chart) -> Markup {
    markup! {
        figure.chart {
            figcaption {
                b { (chart.title) } ", " (chart.unit)
                span.legend {
                    @for (name, ink) in &chart.legend {
                        span { span.swatch.{ "b-" (ink.name) } {} (name) }
                    }
                }
            }
            (drawn(|width| chart.svg(width), &[("narrow", Width::Narrow), ("wide", Width::Wide)]))
        }
    }
}

/// The same drawing once for each width of the place that it stands in; the style sheet shows the one that fits, so that
/// letters keep their size.
fn drawn<W: Copy>(draw: impl Fn(W) -> Result<String, DrawError>, widths: &[(&str, W)]) -> Markup {
    let svg = |width| match draw(width) {
        Ok(svg) => PreEscaped(svg),
        Err(error) => markup! { p.muted { "This chart could not be drawn: " (error) } },
    };
    markup! { @for (class, width) in widths { div class=(class) { (svg(*width)) } } }
}

fn figures(reports: &[Report]) -> Markup {
    markup! {
        section.figures {
            h2 { "The bill" }
            div.scroll tabindex="0" role="region" aria-label="The bill" {
                table {
                    thead { tr {
                        td {}
                        @for report in reports { th scope="col" { (run_name(report)) } }
                    } }
                    @for (group, rows) in GROUPS {
                        tbody {
                            tr.group { th scope="rowgroup" colspan=(reports.len() + 1) { (group) } }
                            @for (name, figure) in *rows { tr {
                                th scope="row" { (name) }
                                @for report in reports { td { (figure(report)) } }
                            } }
                        }
                    }
                }
            }
        }
    }
}

/// What was decided when, and why; it is folded away.
#[must_use]
pub fn decisions(report: &Report) -> Markup {
    let rows: Vec<_> = report.events.iter().filter_map(decision).collect();
    markup! {
        details.decisions {
            summary { "What was decided, and why (" (rows.len()) ")" }
            div.scroll {
                table {
                    thead { tr { th scope="col" { "at" } th scope="col" { "what" } th scope="col" { "why" } } }
                    tbody {
                        @for (at, what, why) in rows.iter().take(MOST_DECISIONS) {
                            tr { td { (at) } td { (what) } td.text { (why) } }
                        }
                    }
                }
            }
            @if rows.len() > MOST_DECISIONS {
                p.muted { (rows.len() - MOST_DECISIONS) " more are left out here; -o json --full lists all." }
            }
        }
    }
}

/// When, what and why. Passes are not decided, and stand in the charts.
fn decision(event: &TimeLineEvent) -> Option<(String, String, String)> {
    let (what, why) = match &event.kind {
        EventKind::Pass { .. } => return None,
        EventKind::Phase { phase } => (phase_name(*phase).to_owned(), String::new()),
        EventKind::Throttle { throttle, reason } => {
            (format!("throttle {}", Throttle::new(*throttle)), reason.clone())
        }
        EventKind::Verdict { verdict } => ("verdict".to_owned(), verdict.text.clone()),
        EventKind::SwitchoverAbandoned { predicted_downtime_ms } => (
            "switchover abandoned".to_owned(),
            format!("it would have taken {}", time(*predicted_downtime_ms)),
        ),
    };
    Some((time(event.at_ms), what, why))
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "connecting",
        Phase::FirstPass => "first pass",
        Phase::Passes => "passes",
        Phase::Switchover => "switchover",
        Phase::Committed => "guest given away",
    }
}

/// What the words on the page mean.
fn words() -> Markup {
    markup! {
        details.words {
            summary { "What the words mean" }
            dl {
                @for (word, meaning) in WORDS { dt { (word) } dd { (meaning) } }
            }
        }
    }
}

const WORDS: [(&str, &str); 8] = [
    (
        "Pass",
        "One walk over the pages that were dirty when it began; the first sends everything. Thin upright lines in the \
         charts, with their numbers where there is room.",
    ),
    ("Dirty rate", "Bytes of distinct pages that the guest rewrites in a second."),
    ("Bandwidth", "Bytes that leave for the destination in a second."),
    ("Throttle", "The share of time in which a vCPU is held back."),
    ("Stall", "One uninterrupted stop of a vCPU by the throttle."),
    ("Guest time stolen", "All stalls together, as the mean over the vCPUs."),
    (
        "Downtime",
        "From the stop of the last vCPU at the source to the start of the first at the destination; shaded in the charts.",
    ),
    (
        "Switchover",
        "The step that ends it: stop, last sync, last pages, device state, commit, resume at the destination.",
    ),
];

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
