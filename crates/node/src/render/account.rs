//! What one migration has cost, at a glance; the whole bill is folded away beneath.

use landfall_converge::{Bytes, Throttle};
use landfall_migrate::report::{Outcome, Report};
use maud::{Markup, html};

use super::bill::{GROUPS, parts, time};
use super::series::finite;

/// The colours of the parts of a downtime, in their order.
const PARTS: [&str; 6] = ["muted", "throttle", "remaining", "bandwidth", "dirty", "axis"];
/// How wide and high the bar is drawn; the style sheet stretches it.
const BAR: (f64, u32) = (1000.0, 16);

/// What a migration has cost; it needs [`super::style_sheet`].
#[must_use]
pub fn account(report: &Report) -> Markup {
    let arrived = report.outcome == Outcome::Completed;
    html! {
        dl.figures.bill {
            (figure("Took", &time(report.total_ms), &passes(report.passes)))
            @if arrived {
                (figure("Downtime", &time(report.downtime_ms), &format!("of {} allowed; {} foretold", time(report.downtime_limit_ms), time(report.predicted_downtime_ms))))
            }
            (figure("Guest time stolen", &time(report.stolen_ms), &format!("{:.0} % of the migration", finite(report.guest_time_share_stolen) * 100.0)))
            (figure("Hardest throttle", &Throttle::new(report.max_throttle).to_string(), &format!("no stall above {}", time(report.max_stall_ms))))
            (figure("Sent", &Bytes(report.sent_bytes).to_string(), &format!("for {} of memory", Bytes(report.memory_bytes))))
        }
        @if arrived { (downtime(report)) }
        details.bill {
            summary { "The whole bill" }
            table {
                @for (group, rows) in GROUPS {
                    tbody {
                        tr { th.group scope="rowgroup" colspan="2" { (group) } }
                        @for (name, figure) in *rows { tr { th scope="row" { (name) } td.figure { (figure(report)) } } }
                    }
                }
            }
        }
    }
}

fn passes(passes: u32) -> String {
    if passes == 1 { "in one pass".to_owned() } else { format!("in {passes} passes") }
}

fn figure(name: &str, value: &str, beside: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) span.beside { (beside) } } } }
}

/// Where the downtime went, as a bar up to what was allowed, and in words.
fn downtime(report: &Report) -> Markup {
    let all = parts(&report.downtime_parts_ms);
    let sum: f64 = all.iter().map(|(_, ms)| ms).sum();
    let limit = finite(report.downtime_limit_ms);
    let whole = sum.max(limit);
    if whole <= 0.0 {
        return html! {};
    }
    let wide = |ms: f64| format!("{:.1}", ms / whole * BAR.0);
    let mut at = 0.0;
    let pieces = all.iter().zip(PARTS).map(|((_, ms), ink)| {
        let from = at;
        at += ms;
        (wide(from), wide(*ms), ink)
    });
    html! {
        div.downtime {
            // What the list below tells in words.
            svg.bar viewBox={ "0 0 " (BAR.0) " " (BAR.1) } preserveAspectRatio="none" aria-hidden="true" {
                rect.f-grid width=(BAR.0) height=(BAR.1) {}
                @for (x, width, ink) in pieces { rect.{ "f-" (ink) } x=(x) width=(width) height=(BAR.1) {} }
            }
            ul.parts {
                @for ((name, ms), ink) in all.iter().zip(PARTS) {
                    li { span.swatch.{ "b-" (ink) } {} (name) " " b { (time(*ms)) } }
                }
                li { span.swatch.b-grid {} "allowed " b { (time(limit)) } }
            }
        }
    }
}
