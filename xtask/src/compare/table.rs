//! A cell on the terminal.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell as Field, CellAlignment, Table};
use landfall_converge::Throttle;

use super::figures::Figure;
use super::page::{bytes, time as ms};
use super::result::{Cell, Entry};

const HEADER: [&str; 10] = [
    "",
    "arrived",
    "total",
    "downtime",
    "guest's downtime",
    "work lost",
    "longest gap",
    "sent",
    "throttle",
    "simulated total",
];

/// Medians, with the least and the most in brackets.
pub(super) fn table(cell: &Cell) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header(HEADER);
    for entry in &cell.contenders {
        let fields = fields(entry)
            .into_iter()
            .map(|text| Field::new(text).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Field::new(entry.contender.name())).chain(fields));
    }
    table.to_string()
}

fn fields(entry: &Entry) -> Vec<String> {
    let Some(summary) = &entry.summary else { return Vec::new() };
    let optional = |figure: Option<Figure>| figure.map_or_else(dash, |figure| spread(figure, ms));
    let whole = if summary.whole == summary.runs {
        String::new()
    } else {
        format!(", memory whole in {}", summary.whole)
    };
    vec![
        format!("{} of {}{whole}", summary.arrived, summary.runs),
        spread(summary.total_ms, ms),
        optional(summary.downtime_ms),
        optional(summary.guest_downtime_ms),
        format!(
            "{}\n{:.0} %",
            spread(summary.work_lost_ms, ms),
            summary.work_lost_share.median * 100.0
        ),
        spread(summary.longest_gap_ms, ms),
        spread(summary.sent_bytes, bytes),
        Throttle::new(summary.max_throttle.median).to_string(),
        entry.prediction.as_ref().map_or_else(dash, |prediction| {
            match (prediction.arrives, prediction.total_error) {
                (false, _) => "does not arrive".to_owned(),
                (true, None) => ms(prediction.total_ms),
                (true, Some(error)) => {
                    format!("{}\noff by {:+.0} %", ms(prediction.total_ms), error * 100.0)
                }
            }
        }),
    ]
}

fn dash() -> String {
    "–".to_owned()
}

fn spread(figure: Figure, show: fn(f64) -> String) -> String {
    let Figure { median, min, max } = figure;
    if min == max {
        show(median)
    } else {
        format!("{}\n({} – {})", show(median), show(min), show(max))
    }
}
