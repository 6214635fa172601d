//! Rows for people, and the same for programs.

use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

use crate::args::Output;
use crate::error::CliError;

/// Writes what was asked for to the standard output stream.
pub(super) fn write(
    output: Output,
    shown: &impl Serialize,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    match output {
        Output::Table => writeln!(io::stdout(), "{}", text())?,
        Output::Json => writeln!(io::stdout(), "{}", serde_json::to_string_pretty(shown)?)?,
    }
    Ok(())
}

/// A title a column, and a line a row.
pub(super) fn rows<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(titles);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    without_margin(&table.to_string())
}

/// A line a fact: what, and how it is.
pub(super) fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{name:<width$}  {value}");
    without_margin(&facts.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn without_margin(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// For what there is none of.
pub(super) fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "–".to_owned(), |text| text.to_string())
}
