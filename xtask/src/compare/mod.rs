//! The same guest under stock QEMU and under Landfall, side by side: what its migration takes, and what it costs the guest.
//!
//! Everything is counted in the guest's own memory, from outside and in one way for all: how far its vCPUs have come, and
//! how long their hearts stood still.

mod contender;
mod figures;
mod link;
mod machine;
mod measure;
mod page;
mod prediction;
mod reporting;
mod result;
mod row;
mod speed;
mod start;
mod table;
mod watch;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use landfall_converge::{ByteRate, Bytes};
use landfall_vmm::kvm;

use self::contender::{Contender, Engine};
use self::link::LinkKind;
use self::measure::{Setting, measure};
use self::result::{Cell, Comparison, Entry, Host, Settings};
use self::row::{ROWS, Row};
use self::speed::{Content, Mover, Speed};
use crate::command::{cargo, run};
use crate::workspace::Workspace;

/// The memory of every guest that is compared.
const MEMORY: Bytes = Bytes(512 << 20);
const DOWNTIME_LIMIT: Duration = Duration::from_millis(300);

#[derive(Clone, Debug, Args)]
#[command(after_help = row::help())]
pub(crate) struct CompareArgs {
    /// What the guest does; all rows of the matrix if not given.
    #[arg(long, value_name = "ROW", value_delimiter = ',', value_parser = row::named)]
    rows: Vec<&'static Row>,
    /// What the link carries.
    #[arg(
        long,
        value_name = "RATE",
        value_delimiter = ',',
        default_value = "40MB/s,125MB/s,400MB/s"
    )]
    bandwidth: Vec<ByteRate>,
    /// What keeps bytes back.
    #[arg(long, value_name = "KIND", value_enum, default_value_t)]
    link: LinkKind,
    /// Runs of each contender.
    #[arg(long, value_name = "N", default_value = "5")]
    runs: NonZeroU32,
    /// Who takes part; everybody if not given.
    #[arg(long, value_name = "CONTENDER", value_delimiter = ',', value_enum)]
    contenders: Vec<Contender>,
    /// How long a run may take, as in 60s.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    time_limit: Duration,
    /// One row in a few minutes: the sweep at 125 MB/s, three runs, at most 45 s each.
    #[arg(long, conflicts_with_all = ["rows", "bandwidth", "runs", "time_limit"])]
    quick: bool,
    /// Instead, how fast memory that nobody writes to moves without a limit, for each of: noise, text, zeros,
    /// untouched, half.
    #[arg(
        long,
        value_name = "CONTENT",
        value_delimiter = ',',
        value_parser = Content::named,
        conflicts_with_all = ["rows", "bandwidth", "link", "contenders", "time_limit", "quick"]
    )]
    contents: Vec<Content>,
    /// Who moves them: QEMU and Landfall with their settings; everybody if not given.
    #[arg(
        long,
        value_name = "MOVER",
        value_delimiter = ',',
        value_parser = speed::named,
        requires = "contents"
    )]
    movers: Vec<&'static Mover>,
    /// The guest's memory while its contents are moved.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", requires = "contents")]
    memory: Bytes,
    /// The folder for compare.json and compare.html, or for speed.json.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err("write a duration with its unit, as in 60s".to_owned()),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("'{text}' is no duration"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

/// What is compared, after all defaults.
#[derive(Debug)]
struct Matrix {
    rows: Vec<&'static Row>,
    bandwidths: Vec<ByteRate>,
    link: LinkKind,
    contenders: Vec<Contender>,
    runs: u32,
    time_limit: Duration,
}

impl Matrix {
    fn of(args: &CompareArgs) -> Self {
        let all = |given: &[Contender]| {
            if given.is_empty() { Contender::ALL.to_vec() } else { given.to_vec() }
        };
        let (contenders, link) = (all(&args.contenders), args.link);
        if args.quick {
            let bandwidths = vec![ByteRate::new(125e6)];
            let time_limit = Duration::from_secs(45);
            let rows = vec![&ROWS[0]];
            return Self { rows, bandwidths, link, contenders, runs: 3, time_limit };
        }
        let rows = if args.rows.is_empty() { ROWS.iter().collect() } else { args.rows.clone() };
        let (bandwidths, time_limit) = (args.bandwidth.clone(), args.time_limit);
        Self { rows, bandwidths, link, contenders, runs: args.runs.get(), time_limit }
    }
}

pub(crate) fn compare(workspace: &Workspace, args: &CompareArgs) -> ExitCode {
    let out = args.out.clone().unwrap_or_else(|| workspace.target().join("compare"));
    match compare_into(workspace, args, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare_into(workspace: &Workspace, args: &CompareArgs, out: &Path) -> Result<(), String> {
    kvm::is_available().map_err(|error| format!("guests are compared on KVM: {error}"))?;
    std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    run(&mut cargo(workspace, ["build", "--release", "--package", "landfall"]))?;
    let landfall = workspace.target().join("release/landfall");
    let mut notes = Vec::new();
    let qemu = start::qemu_version();
    if let Err(missing) = &qemu {
        eprintln!("{missing}");
        notes.push(missing.clone());
    }
    if let Some(note) = reporting::note() {
        eprintln!("{note}");
        notes.push(note);
    }
    let ticks_per_second = kvm::tsc_frequency().map_err(|error| error.to_string())?;
    let host = Host::of_this(qemu.ok(), ticks_per_second);
    if args.contents.is_empty() {
        compare_rows(&landfall, Matrix::of(args), host, notes, out)
    } else {
        speed::speed(&landfall, Speed::of(args), host, notes, out)
    }
}

fn compare_rows(
    landfall: &Path,
    mut matrix: Matrix,
    host: Host,
    notes: Vec<String>,
    out: &Path,
) -> Result<(), String> {
    if host.qemu_version.is_none() {
        matrix.contenders.retain(|contender| contender.engine() == Engine::Landfall);
    }
    let ticks_per_second = host.tsc_hz;
    let settings = Settings::new(MEMORY, DOWNTIME_LIMIT, &matrix);
    let mut comparison = Comparison { host, settings, notes, cells: Vec::new() };
    let json = out.join("compare.json");
    for row in &matrix.rows {
        for &bandwidth in &matrix.bandwidths {
            let setting = Setting {
                landfall,
                elf: &out.join(format!("{}.elf", row.name)),
                memory: MEMORY,
                row,
                bandwidth,
                link: matrix.link,
                downtime_limit: DOWNTIME_LIMIT,
                time_limit: matrix.time_limit,
                ticks_per_second,
            };
            setting.write_elf()?;
            comparison.cells.push(cell(&setting, &matrix)?);
            // What is there so far outlives an interruption.
            comparison.write(&json)?;
            if let Some(cell) = comparison.cells.last() {
                println!("\n{}\n", table::table(cell));
            }
        }
    }
    let html = out.join("compare.html");
    let page = page::page(&comparison);
    std::fs::write(&html, page).map_err(|error| format!("{}: {error}", html.display()))?;
    println!("figures: {}\npage: {}", json.display(), html.display());
    Ok(())
}

/// All runs of one row at one bandwidth, the contenders taking turns, so that what else happens on this machine meets all
/// of them alike.
fn cell(setting: &Setting<'_>, matrix: &Matrix) -> Result<Cell, String> {
    println!("\n{}: {} over {}", setting.row.name, setting.row.about, setting.bandwidth);
    let mut entries: Vec<Entry> =
        matrix.contenders.iter().map(|contender| Entry::new(*contender)).collect();
    for number in 1..=matrix.runs {
        for entry in &mut entries {
            let run = measure(setting, entry.contender)
                .map_err(|error| format!("{}, run {number}: {error}", entry.contender.name()))?;
            println!("  {number}/{}  {:<20} {run}", matrix.runs, entry.contender.name());
            entry.runs.push(run);
        }
    }
    for entry in &mut entries {
        entry.sum_up(setting);
    }
    Ok(Cell::new(setting, entries))
}
