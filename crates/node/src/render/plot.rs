//! Axes, lines, areas and marks, drawn as SVG.

use std::error::Error;

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::palette::{self, Ink};
use super::series::Point;

/// Why a chart could not be drawn.
pub(super) type DrawError = Box<dyn Error>;

/// The charting crate places everything at whole pixels; drawn this many times larger, lines and steps stay smooth.
const FINE: u32 = 2;

/// The height of letters, in CSS pixels.
const LETTER: f64 = 13.0;

/// Beside the axes, in CSS pixels: room for the labels at the left, and for half a label at the right.
const LEFT: i32 = 46;
const RIGHT: i32 = 14;

/// What a drawing is wider than its axis of time, in CSS pixels.
pub(super) const BESIDE: u32 = 64;

/// Where values over time are shown: one pair of axes, and what is drawn between them.
#[derive(Debug)]
pub(super) struct Panel {
    /// In CSS pixels, axes and all.
    pub(super) height: u32,
    /// A heading inside the drawing; empty for none.
    pub(super) heading: String,
    /// The colour of the heading.
    pub(super) ink: Ink,
    /// How far the axis of time goes.
    pub(super) seconds: f64,
    /// Whether the axis of time is labelled; panels above others leave it to the last.
    pub(super) shows_time: bool,
    /// How far the other axis goes, from zero.
    pub(super) highest: f64,
    /// What is drawn, in this order.
    pub(super) layers: Vec<Layer>,
}

/// Something drawn between the axes.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// Points joined.
    Line { points: Vec<Point>, ink: Ink },
    /// Everything below joined points.
    Area { points: Vec<Point>, ink: Ink },
    /// A dashed line straight across.
    Level { value: f64, ink: Ink },
    /// A stretch of time.
    Band { from: f64, to: f64, ink: Ink },
    /// A moment, with its name at the top; thin unless bold.
    Moment { at: f64, name: String, ink: Ink, bold: bool },
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axes<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Panels below each other, `width` CSS pixels wide, as one SVG element. `caption` stands above them; `label` is what a screen reader says instead;
/// `style` goes into the drawing as its own style sheet.
pub(super) fn svg(
    width: u32,
    caption: &str,
    panels: &[Panel],
    label: &str,
    style: &str,
) -> Result<String, DrawError> {
    let above = if caption.is_empty() { 0 } else { 30 };
    let height = above + panels.iter().map(|panel| panel.height).sum::<u32>();
    let (wide, high) = (width * FINE, height * FINE);
    let mut drawing = String::new();
    {
        let mut rest = SVGBackend::with_string(&mut drawing, (wide, high)).into_drawing_area();
        if above > 0 {
            let (area, below) = rest.split_vertically(above * FINE);
            let style = font(LETTER, palette::MUTED).pos(Pos::new(HPos::Left, VPos::Top));
            area.draw(&Text::new(caption.to_owned(), (pixels(8), pixels(10)), style))?;
            rest = below;
        }
        for panel in panels {
            let (area, below) = rest.split_vertically(panel.height * FINE);
            draw(panel, &area, width)?;
            rest = below;
        }
        rest.present()?;
    }
    let inside = drawing.split_once('>').map_or("", |(_, inside)| inside);
    let label = escaped(label);
    let style = if style.is_empty() { String::new() } else { format!("<style>{style}</style>\n") };
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {high}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{label}\">\n{style}{}",
        palette::classed(inside.trim_start())
    ))
}

/// `text` so that it stands for itself in XML, in an attribute as well as between tags. What XML cannot hold is left out.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

fn draw(panel: &Panel, area: &Area<'_>, width: u32) -> Result<(), DrawError> {
    let mut above = 20;
    if !panel.heading.is_empty() {
        let style = font(LETTER + 1.0, panel.ink).pos(Pos::new(HPos::Left, VPos::Top));
        area.draw(&Text::new(panel.heading.clone(), (pixels(8), pixels(8)), style))?;
        above = 34;
    }
    let mut axes = ChartBuilder::on(area)
        .margin_top(pixels(above))
        .margin_right(pixels(RIGHT))
        .margin_left(pixels(4))
        .x_label_area_size(pixels(if panel.shows_time { 28 } else { 6 }))
        .y_label_area_size(pixels(LEFT))
        .build_cartesian_2d(0.0..panel.seconds, 0.0..panel.highest)?;
    let (high, far) = (digits(panel.highest / 4.0), digits(panel.seconds / 6.0));
    axes.configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(stroke(palette::GRID, 1))
        .axis_style(stroke(palette::AXIS, 1))
        .set_all_tick_mark_size(pixels(4))
        .x_labels((width / 70).clamp(3, 12) as usize)
        .y_labels((panel.height / 40).clamp(3, 6) as usize)
        .label_style(font(LETTER, palette::MUTED))
        .x_label_formatter(&|seconds| {
            if panel.shows_time { format!("{seconds:.far$} s") } else { String::new() }
        })
        .y_label_formatter(&|value| format!("{value:.high$}"))
        .draw()?;
    for layer in &panel.layers {
        layer.draw(&mut axes, panel)?;
    }
    Ok(())
}

impl Layer {
    fn draw(&self, axes: &mut Axes<'_, '_>, panel: &Panel) -> Result<(), DrawError> {
        let top = panel.highest;
        match self {
            Self::Line { points, ink } => {
                axes.draw_series(LineSeries::new(points.iter().copied(), stroke(*ink, 2)))?;
            }
            Self::Area { points, ink } => {
                let below = ink.rgb().mix(0.28).filled();
                axes.draw_series(AreaSeries::new(points.iter().copied(), 0.0, below))?;
                axes.draw_series(LineSeries::new(points.iter().copied(), stroke(*ink, 1)))?;
            }
            Self::Level { value, ink } => {
                let across = [(0.0, *value), (panel.seconds, *value)];
                let (dash, gap) = (pixels(6), pixels(4));
                let style = stroke(*ink, 1);
                axes.draw_series(DashedLineSeries::new(across, dash, gap, style))?;
            }
            Self::Band { from, to, ink } => {
                let rectangle = Rectangle::new([(*from, 0.0), (*to, top)], ink.rgb().filled());
                axes.draw_series(std::iter::once(rectangle))?;
            }
            Self::Moment { at, name, ink, bold } => {
                let width = if *bold { 2 } else { 1 };
                let upright = [(*at, 0.0), (*at, top)];
                axes.draw_series(LineSeries::new(upright, stroke(*ink, width)))?;
                // Near the right edge a name to the right would leave the drawing.
                let late = *at > panel.seconds * 0.8;
                let text = if *bold { *ink } else { palette::MUTED };
                let anchor = if late { HPos::Right } else { HPos::Left };
                let nudge = if late { pixels(3) } else { -pixels(3) };
                label(axes, (*at, top), name, text, (nudge, -pixels(4)), anchor, VPos::Bottom)?;
            }
        }
        Ok(())
    }
}

fn label(
    axes: &mut Axes<'_, '_>,
    at: Point,
    name: &str,
    ink: Ink,
    by: (i32, i32),
    h: HPos,
    v: VPos,
) -> Result<(), DrawError> {
    let style = font(LETTER, ink).pos(Pos::new(h, v));
    let text = EmptyElement::at(at) + Text::new(name.to_owned(), by, style);
    axes.draw_series(std::iter::once(text))?;
    Ok(())
}

fn pixels(css: i32) -> i32 {
    css * FINE.cast_signed()
}

fn stroke(ink: Ink, css: u32) -> ShapeStyle {
    ink.rgb().stroke_width(css * FINE)
}

fn font(css: f64, ink: Ink) -> TextStyle<'static> {
    // The SVG backend divides every size by 1.24.
    let size = css * f64::from(FINE) * 1.24;
    TextStyle {
        color: ink.rgb().to_backend_color(),
        ..TextStyle::from(("sans-serif", size).into_font())
    }
}

/// The digits after the point that tell apart values this far from each other.
fn digits(apart: f64) -> usize {
    match apart {
        apart if apart >= 1.0 => 0,
        apart if apart >= 0.1 => 1,
        apart if apart >= 0.01 => 2,
        _ => 4,
    }
}
