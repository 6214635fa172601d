//! How fast memory that nobody writes to moves, under stock QEMU and under Landfall: the same contents, over the same kind of
//! socket, without a limit.

#[path = "../../../../crates/vmm/benches/moving/content.rs"]
mod content;
mod mover;
mod run;

use std::path::Path;
use std::time::Duration;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell as Field, CellAlignment, Table};
use landfall_converge::{ByteRate, Bytes};
use serde::Serialize;

pub(super) use self::content::Content;
use self::mover::MOVERS;
pub(super) use self::mover::{Mover, named};
use self::run::{Moved, moved};
use super::contender::Engine;
use super::figures::Figure;
use super::link::LinkKind;
use super::measure::Setting;
use super::result::Host;
use super::row::{Row, Writes};
use super::{CompareArgs, DOWNTIME_LIMIT};

/// What the guest does meanwhile: next to nothing.
const STILL: Row = Row {
    name: "still",
    about: "reads 1 MiB now and then",
    workload: "read-only,working-set=1MiB,rate=1MB/s",
    writes: &[Writes::Nothing],
    full_speed_over: Duration::ZERO,
};
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What is measured.
#[derive(Debug)]
pub(super) struct Speed {
    pub(super) contents: Vec<Content>,
    /// All of them if there are none.
    pub(super) movers: Vec<&'static Mover>,
    pub(super) memory: Bytes,
    pub(super) runs: u32,
}

impl Speed {
    pub(super) fn of(args: &CompareArgs) -> Self {
        let (contents, movers) = (args.contents.clone(), args.movers.clone());
        Self { contents, movers, memory: args.memory, runs: args.runs.get() }
    }
}

/// Everything, as it is written to speed.json.
#[derive(Debug, Serialize)]
struct Figures {
    host: Host,
    memory_bytes: u64,
    notes: Vec<String>,
    contents: Vec<OfContent>,
}

#[derive(Debug, Serialize)]
struct OfContent {
    content: &'static str,
    movers: Vec<OfMover>,
    /// How many times as fast as the fastest of QEMU's settings the fastest of Landfall's is, by medians.
    faster_than_qemu: Option<f64>,
}

#[derive(Debug, Serialize)]
struct OfMover {
    mover: &'static str,
    #[serde(skip)]
    engine: Engine,
    bytes_per_second: Option<Figure>,
    runs: Vec<Moved>,
}

impl Content {
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|content| content.name() == name).ok_or_else(|| {
            format!("there is no such content; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Text => "text",
            Self::Zeros => "zeros",
            Self::Untouched => "untouched",
            Self::Half => "half",
        }
    }
}

/// Moves each content by each mover, by turns.
pub(super) fn speed(
    landfall: &Path,
    mut wanted: Speed,
    host: Host,
    notes: Vec<String>,
    out: &Path,
) -> Result<(), String> {
    if wanted.movers.is_empty() {
        wanted.movers = MOVERS.iter().collect();
    }
    if host.qemu_version.is_none() {
        wanted.movers.retain(|mover| mover.engine == Engine::Landfall);
    }
    let setting = Setting {
        landfall,
        elf: &out.join("still.elf"),
        memory: wanted.memory,
        row: &STILL,
        // Nobody keeps to it.
        bandwidth: ByteRate::new(f64::INFINITY),
        link: LinkKind::Limit,
        downtime_limit: DOWNTIME_LIMIT,
        time_limit: TIME_LIMIT,
        ticks_per_second: host.tsc_hz,
    };
    setting.write_elf()?;
    let json = out.join("speed.json");
    let mut figures = Figures { host, memory_bytes: wanted.memory.0, notes, contents: Vec::new() };
    for content in &wanted.contents {
        figures.contents.push(of_content(&setting, *content, &wanted)?);
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        std::fs::write(&json, text).map_err(|error| format!("{}: {error}", json.display()))?;
        if let Some(last) = figures.contents.last() {
            println!("\n{}\n", table(last, wanted.memory));
        }
    }
    println!("figures: {}", json.display());
    Ok(())
}

fn of_content(
    setting: &Setting<'_>,
    content: Content,
    wanted: &Speed,
) -> Result<OfContent, String> {
    println!("\n{} of {}", wanted.memory, content.name());
    let mut movers: Vec<(&Mover, Vec<Moved>)> =
        wanted.movers.iter().map(|mover| (*mover, Vec::new())).collect();
    for number in 1..=wanted.runs {
        for (mover, runs) in &mut movers {
            let run = moved(setting, content, mover)
                .map_err(|error| format!("{}, run {number}: {error}", mover.name))?;
            let rate = ByteRate::new(run.bytes_per_second);
            println!("  {number}/{}  {:<20} {rate}", wanted.runs, mover.name);
            runs.push(run);
        }
    }
    let movers: Vec<_> = movers
        .into_iter()
        .map(|(mover, runs)| OfMover {
            mover: mover.name,
            engine: mover.engine,
            bytes_per_second: Figure::of(runs.iter().map(|run| run.bytes_per_second)),
            runs,
        })
        .collect();
    let faster_than_qemu = faster(&movers);
    Ok(OfContent { content: content.name(), movers, faster_than_qemu })
}

/// The fastest of Landfall's beside the fastest of QEMU's.
fn faster(movers: &[OfMover]) -> Option<f64> {
    let fastest = |engine| {
        let of_engine = movers.iter().filter(|mover| mover.engine == engine);
        of_engine
            .filter_map(|mover| mover.bytes_per_second)
            .map(|rate| rate.median)
            .reduce(f64::max)
    };
    Some(fastest(Engine::Landfall)? / fastest(Engine::Qemu)?)
}

/// Medians, with the least and the most in brackets.
fn table(of: &OfContent, memory: Bytes) -> String {
    let gib = memory.0 as f64 / f64::from(1 << 30);
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    table.set_header([of.content, "GB/s", "lowest and highest", "sent/memory", "CPU s a GiB"]);
    for mover in &of.movers {
        let median = |value: fn(&Moved) -> f64| {
            Figure::of(mover.runs.iter().map(value)).map_or(f64::NAN, |figure| figure.median)
        };
        let Some(rate) = mover.bytes_per_second else { continue };
        let fields = [
            format!("{:.2}", rate.median / 1e9),
            format!("{:.2} to {:.2}", rate.min / 1e9, rate.max / 1e9),
            format!("{:.3}", median(|run| run.sent_bytes as f64) / memory.0 as f64),
            format!("{:.2}", median(|run| run.processor_seconds) / gib),
        ];
        let fields = fields.map(|text| Field::new(text).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Field::new(mover.mover)).chain(fields));
    }
    match of.faster_than_qemu {
        Some(times) => {
            format!("{table}\nLandfall's fastest is {times:.2} times as fast as QEMU's.")
        }
        None => table.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mover(engine: Engine, rate: f64) -> OfMover {
        let bytes_per_second = Figure::of([rate]);
        OfMover { mover: "one", engine, bytes_per_second, runs: Vec::new() }
    }

    #[test]
    fn the_fastest_of_each_engine_are_held_against_each_other() {
        let movers = [
            (Engine::Qemu, 1.0),
            (Engine::Qemu, 2.0),
            (Engine::Landfall, 3.0),
            (Engine::Landfall, 1.5),
        ];
        let movers = movers.map(|(engine, rate)| mover(engine, rate));
        assert_eq!(faster(&movers), Some(1.5));
        assert_eq!(faster(&movers[2..]), None);
    }
}
