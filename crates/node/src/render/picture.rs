//! The picture of a few runs: one row each, all on one axis of time.

use landfall_converge::{Bytes, Policy, Throttle};
use landfall_migrate::report::{Outcome, Report};

use super::bill::{outcome, time};
use super::palette::{self, Ink};
use super::plot::{self, DrawError, Layer, Panel};
use super::series::{
    Point, Unit, finite, fits_into_downtime, highest, remaining, seconds, series, steps,
    switchovers, thin,
};

/// How to read the picture where nothing around it tells.
const CAPTION: &str = "line: memory still to send, MEMORY · shaded: throttle, full height is 100 % · dashed: what fits \
                       into the downtime";

/// What one run is called.
pub(super) fn run_name(report: &Report) -> String {
    if is_throttled_by_policy(report) {
        format!("Auto-converge, {}", report.policy)
    } else {
        "Without auto-converge".to_owned()
    }
}

fn is_throttled_by_policy(report: &Report) -> bool {
    report.auto_converge && report.policy != Policy::Off
}

/// The picture as a file of its own.
pub(super) fn standalone(reports: &[Report]) -> Result<String, DrawError> {
    let mut svg = drawing(reports, 760, &palette::style_sheet(), CAPTION)?;
    // Its own ground: the page around it may be light when the reader prefers dark.
    let ground = "<rect class=\"f-paper\" fill=\"#FDFDFC\" width=\"100%\" height=\"100%\"/>\n";
    let after_style = svg.find("</style>\n").map_or(0, |at| at + "</style>\n".len());
    svg.insert_str(after_style, ground);
    Ok(svg)
}

/// The picture for a page that has the style sheet already.
pub(super) fn inline(reports: &[Report], width: u32) -> Result<String, DrawError> {
    drawing(reports, width, "", "")
}

/// What is expected of one migration, without a heading.
pub(super) fn foretold(report: &Report, width: u32) -> Result<String, DrawError> {
    let (seconds, most) = (seconds(report), most(std::slice::from_ref(report)));
    let unit = Unit::of_size(most);
    let top = if most > 0.0 { most / unit.factor * 1.04 } else { 1.0 };
    let panel = Panel {
        height: 168,
        heading: String::new(),
        ink: palette::TEXT,
        seconds,
        shows_time: true,
        highest: top,
        layers: row(report, seconds, unit, top, width as usize / 2),
    };
    let mut label = if report.outcome == Outcome::Completed {
        format!(
            "Memory still to send over time: it is expected to arrive in {}",
            time(report.total_ms)
        )
    } else {
        "Memory still to send over time: it is not expected to arrive".to_owned()
    };
    if finite(report.max_throttle) > 0.0 {
        let hardest = Throttle::new(report.max_throttle);
        label +=
            &format!(", throttled to {hardest} at the most, {} stolen", time(report.stolen_ms));
    }
    plot::svg(width, "", &[panel], &label.replace('\u{a0}', " "), "")
}

fn drawing(
    reports: &[Report],
    width: u32,
    style: &str,
    caption: &str,
) -> Result<String, DrawError> {
    let seconds = axis(reports);
    let most = most(reports);
    let unit = Unit::of_size(most);
    let top = if most > 0.0 { most / unit.factor * 1.04 } else { 1.0 };
    let last = reports.len().saturating_sub(1);
    let row = |(index, report)| Panel {
        height: if index == last { 168 } else { 146 },
        heading: if width < 500 { end(report) } else { heading(report) },
        ink: ink(report),
        seconds,
        shows_time: index == last,
        highest: top,
        layers: row(report, seconds, unit, top, width as usize / 2),
    };
    let rows: Vec<Panel> = reports.iter().enumerate().map(row).collect();
    let caption = caption.replace("MEMORY", unit.name);
    plot::svg(width, &caption, &rows, &label(reports), style)
}

/// The unit in which the picture shows memory.
pub(super) fn unit(reports: &[Report]) -> &'static str {
    Unit::of_size(most(reports)).name
}

fn most(reports: &[Report]) -> f64 {
    let most = reports.iter().map(|run| highest(&remaining(run)).max(fits_into_downtime(run)));
    most.fold(0.0, f64::max)
}

/// As long as the longest run; but one that takes far longer than those that arrive would squeeze them, and is cut off.
fn axis(reports: &[Report]) -> f64 {
    let longest = |runs: &mut dyn Iterator<Item = &Report>| runs.map(seconds).fold(0.0, f64::max);
    let all = longest(&mut reports.iter()).max(0.001);
    let arrived = longest(&mut reports.iter().filter(|run| run.outcome == Outcome::Completed));
    if arrived > 0.0 { all.min(arrived * 2.5) } else { all }
}

fn ink(report: &Report) -> Ink {
    match report.policy {
        _ if !is_throttled_by_policy(report) => palette::OFF_RUN,
        Policy::Off => palette::OFF_RUN,
        Policy::Classic => palette::CLASSIC_RUN,
        Policy::Stepped => palette::STEPPED_RUN,
        Policy::Adaptive => palette::ADAPTIVE_RUN,
    }
}

fn row(report: &Report, seconds: f64, unit: Unit, top: f64, columns: usize) -> Vec<Layer> {
    let within = |points: Vec<Point>| -> Vec<Point> {
        points.into_iter().take_while(|point| point.0 <= seconds).collect()
    };
    let mut layers = Vec::new();
    if report.outcome == Outcome::Completed {
        let to = (finite(report.total_ms) / 1000.0).min(seconds);
        let from = switchovers(report).last().copied();
        let from = from.unwrap_or(to - finite(report.downtime_ms) / 1000.0).clamp(0.0, to);
        layers.push(Layer::Band { from, to, ink: palette::STILL });
    }
    // The throttle takes the whole height at 100 %.
    let throttle = within(series(report, |point| point.throttle * top));
    if highest(&throttle) > 0.0 {
        let points = thin(&steps(&throttle), columns);
        layers.push(Layer::Area { points, ink: palette::THROTTLE });
    }
    let fits = fits_into_downtime(report) / unit.factor;
    layers.push(Layer::Level { value: fits, ink: palette::LIMIT });
    let left = within(unit.scale(&remaining(report)));
    layers.push(Layer::Line { points: thin(&left, columns), ink: ink(report) });
    layers
}

/// What became of a run.
fn end(report: &Report) -> String {
    let (name, total) = (run_name(report), time(report.total_ms));
    match report.outcome {
        Outcome::Completed => format!("{name}: arrived in {total}"),
        other => format!("{name}: {} after {total}", outcome(other)),
    }
}

/// What became of a run, and what it cost.
fn heading(report: &Report) -> String {
    let end = end(report);
    if report.outcome != Outcome::Completed {
        return end;
    }
    format!("{end}, {} stolen, {} sent", time(report.stolen_ms), Bytes(report.sent_bytes))
}

fn label(reports: &[Report]) -> String {
    let runs: Vec<String> = reports.iter().map(heading).collect();
    format!("Memory still to send, and throttle, over time. {}.", runs.join("; "))
}

/// `text` with a capital at its beginning.
pub(crate) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
