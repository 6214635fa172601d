//! Reports as pages and pictures: one file each, with nothing to fetch and nothing to run.

mod account;
mod bill;
mod chart;
mod html;
mod palette;
mod picture;
mod plot;
mod series;
mod sketch;

use std::io;
use std::path::Path;

use landfall_migrate::report::Report;

pub use account::account;
pub use html::{decisions, html};
pub(crate) use picture::capitalised;
pub use sketch::{foretold, so_far};

/// A picture of the runs as an SVG file: memory still to send and throttle of every run, on one axis of time.
#[must_use]
pub fn run_picture(reports: &[Report]) -> String {
    picture::standalone(reports).unwrap_or_else(|error| {
        // Drawing into memory fails only where a chart has no room; a file that says so is still a file.
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 40\"><text x=\"8\" y=\"24\">This picture could not be drawn: {}</text></svg>\n",
            plot::escaped(&error.to_string())
        )
    })
}

/// The charts of one migration, each a figure with its legend; they need [`style_sheet`].
#[must_use]
pub fn figures(report: &Report) -> maud::Markup {
    html::figures_of(report)
}

/// The colours of everything that is drawn, for light and dark.
#[must_use]
pub fn style_sheet() -> String {
    palette::style_sheet()
}

/// Writes the runs to a file: a picture where its name ends in `.svg`, a page with everything otherwise.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, title: &str, reports: &[Report]) -> io::Result<()> {
    let text = if path.extension().is_some_and(|extension| extension == "svg") {
        run_picture(reports)
    } else {
        html(title, reports)
    };
    std::fs::write(path, text)
}

#[cfg(test)]
#[path = "samples.rs"]
pub(crate) mod samples;
