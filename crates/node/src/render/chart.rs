//! What a chart of one migration shows.

use landfall_converge::{ByteRate, Bytes, Throttle};
use landfall_migrate::report::Report;

use super::palette::{self, Ink};
use super::plot::{self, DrawError, Layer, Panel};
use super::series::{
    self, Point, Unit, finite, fits_into_downtime, highest, passes, seconds, series, steps,
    switchovers, thin,
};
use crate::quantities::milliseconds;

/// Charts are drawn twice, and the page shows the one that fits: letters keep their size on a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Wide,
    Narrow,
}

impl Width {
    fn pixels(self) -> u32 {
        match self {
            Self::Wide => 620,
            Self::Narrow => 340,
        }
    }

    /// Two points a pixel and column are more than anybody can see.
    fn columns(self) -> usize {
        self.pixels() as usize / 2
    }
}

/// One chart with what is needed to read it.
#[derive(Debug)]
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: &'static str,
    /// The unit of its upright axis.
    pub(super) unit: &'static str,
    /// Its lines by name.
    pub(super) legend: Vec<(String, Ink)>,
    /// What it shows, for those who cannot see it.
    pub(super) label: String,
    panel: Panel,
}

impl Chart {
    /// The chart as SVG.
    pub(super) fn svg(&self, width: Width) -> Result<String, DrawError> {
        let panel = Panel {
            heading: String::new(),
            layers: self.panel.layers.iter().map(|layer| layer.thinned(width.columns())).collect(),
            ..self.panel
        };
        let panel = panel.with_room_between_passes(width.pixels());
        plot::svg(width.pixels(), "", &[panel], &self.label, "")
    }
}

/// Every chart of a migration.
pub(super) fn charts(report: &Report) -> [Chart; 3] {
    [rates(report), remaining(report), throttle(report)]
}

/// The two lines that matter, on one axis: what the guest dirties and what the link carries.
fn rates(report: &Report) -> Chart {
    let dirty = series(report, |point| point.dirty_rate_bytes_per_second);
    let bandwidth = series(report, |point| point.bandwidth_bytes_per_second);
    let top = highest(&dirty).max(highest(&bandwidth));
    let unit = Unit::of_rate(top);
    let mut layers = marks(report);
    layers.push(Layer::Line { points: unit.scale(&dirty), ink: palette::DIRTY });
    layers.push(Layer::Line { points: unit.scale(&bandwidth), ink: palette::BANDWIDTH });
    Chart {
        title: "Dirty rate beside bandwidth",
        unit: unit.name,
        legend: legend([("dirty rate", palette::DIRTY), ("bandwidth", palette::BANDWIDTH)]),
        label: format!(
            "Dirty rate and bandwidth over {}. The dirty rate was at most {}, the bandwidth at most {}.",
            milliseconds(seconds(report) * 1000.0),
            ByteRate::new(highest(&dirty)),
            ByteRate::new(highest(&bandwidth)),
        ),
        panel: panel(report, 230, top / unit.factor, layers),
    }
}

fn remaining(report: &Report) -> Chart {
    let left = series::remaining(report);
    let fits = fits_into_downtime(report);
    let top = highest(&left).max(fits);
    let unit = Unit::of_size(top);
    let mut layers = marks(report);
    let line = unit.scale(&left);
    layers.push(Layer::Area { points: line, ink: palette::REMAINING });
    let level = fits / unit.factor;
    layers.push(Layer::Level { value: level, ink: palette::LIMIT });
    let fits_name = format!("fits into {}", milliseconds(finite(report.downtime_limit_ms)));
    let ended = report.timeline.last().map_or(0.0, |point| point.remaining_bytes as f64);
    Chart {
        title: "Memory still to send",
        unit: unit.name,
        legend: legend([("still to send", palette::REMAINING), (&fits_name, palette::LIMIT)]),
        label: format!(
            "Memory still to send over {}. It was at most {}, and {} when it was last measured; {} fit into the downtime allowed.",
            milliseconds(seconds(report) * 1000.0),
            bytes(highest(&left)),
            bytes(ended),
            bytes(fits),
        ),
        panel: panel(report, 230, top / unit.factor, layers),
    }
}

fn throttle(report: &Report) -> Chart {
    let shares = series(report, |point| point.throttle);
    let points: Vec<Point> = shares.iter().map(|(time, share)| (*time, share * 100.0)).collect();
    let mut layers = marks(report);
    layers.push(Layer::Area { points: steps(&points), ink: palette::THROTTLE });
    let hardest = highest(&shares).max(finite(report.max_throttle));
    let label = if hardest == 0.0 {
        "Throttle over time: the guest was never throttled.".to_owned()
    } else {
        let (hardest, stolen) = (Throttle::new(hardest), milliseconds(finite(report.stolen_ms)));
        format!("Throttle over time: at most {hardest}; {stolen} of guest time were stolen.")
    };
    Chart {
        title: "Throttle",
        unit: "% of the time of the vCPU held back most",
        legend: Vec::new(),
        label,
        panel: panel(report, 150, 100.0, layers),
    }
}

fn legend<const N: usize>(lines: [(&str, Ink); N]) -> Vec<(String, Ink)> {
    lines.map(|(name, ink)| (name.to_owned(), ink)).into()
}

fn panel(report: &Report, height: u32, highest: f64, layers: Vec<Layer>) -> Panel {
    // Room above the highest value; an axis from zero to zero cannot be drawn.
    let highest = if highest > 0.0 { highest * 1.06 } else { 1.0 };
    Panel {
        height,
        heading: String::new(),
        ink: palette::TEXT,
        seconds: seconds(report),
        shows_time: true,
        highest,
        layers,
    }
}

/// Where passes began, and where the guest stood still for the switchover.
fn marks(report: &Report) -> Vec<Layer> {
    let end = seconds(report);
    let mut layers = Vec::new();
    let switchovers = switchovers(report);
    if let Some(last) = switchovers.last() {
        let still = last + finite(report.downtime_ms) / 1000.0;
        layers.push(Layer::Band { from: *last, to: still.min(end), ink: palette::STILL });
    }
    for (at, pass) in passes(report) {
        let name = pass.to_string();
        layers.push(Layer::Moment { at, name, ink: palette::PASS, bold: false });
    }
    for (index, at) in switchovers.iter().enumerate() {
        let last = index + 1 == switchovers.len();
        let name = if last { "switchover" } else { "" }.to_owned();
        layers.push(Layer::Moment { at: *at, name, ink: palette::SWITCHOVER, bold: true });
    }
    layers
}

#[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
#[expect(clippy::cast_sign_loss, reason = "what is negative becomes zero first")]
fn bytes(value: f64) -> Bytes {
    Bytes(finite(value) as u64)
}

impl Layer {
    fn thinned(&self, columns: usize) -> Self {
        match self {
            Self::Line { points, ink } => Self::Line { points: thin(points, columns), ink: *ink },
            Self::Area { points, ink } => Self::Area { points: thin(points, columns), ink: *ink },
            other => other.clone(),
        }
    }
}

impl Panel {
    /// Leaves out passes whose marks would stand too close to the one before, and numbers that would overlap or run into
    /// the name of the switchover.
    fn with_room_between_passes(mut self, width: u32) -> Self {
        let apart = |pixels: f64| self.seconds * pixels / f64::from(width - plot::BESIDE);
        let (mark, number, word) = (apart(6.0), apart(30.0), apart(90.0));
        let switchover = self.layers.iter().rev().find_map(|layer| match layer {
            Layer::Moment { at, bold: true, .. } => Some(*at),
            _ => None,
        });
        let (mut marked, mut numbered) = (0.0, 0.0);
        self.layers.retain_mut(|layer| {
            let Layer::Moment { at, name, bold: false, .. } = layer else { return true };
            if *at - marked < mark {
                return false;
            }
            marked = *at;
            let in_the_way = switchover.is_some_and(|other| (*at - other).abs() < word);
            if *at - numbered < number || in_the_way {
                name.clear();
            } else {
                numbered = *at;
            }
            true
        });
        self
    }
}

#[cfg(test)]
#[path = "chart_tests.rs"]
mod tests;
