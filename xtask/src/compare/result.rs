//! What was measured, as it is written to compare.json.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use landfall_converge::{Bytes, Throttle};
use serde::Serialize;

use super::Matrix;
use super::contender::Contender;
use super::figures::Figure;
use super::link::LinkKind;
use super::measure::Setting;
use super::prediction::{Prediction, predict};

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) host: Host,
    pub(super) settings: Settings,
    /// What a reader must know.
    pub(super) notes: Vec<String>,
    pub(super) cells: Vec<Cell>,
}

impl Comparison {
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Where it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Host {
    pub(super) cpus: usize,
    pub(super) kernel: String,
    pub(super) tsc_hz: u64,
    pub(super) landfall_version: &'static str,
    pub(super) qemu_version: Option<String>,
}

impl Host {
    pub(super) fn of_this(qemu_version: Option<String>, tsc_hz: u64) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: kernel.trim().to_owned(),
            tsc_hz,
            landfall_version: env!("CARGO_PKG_VERSION"),
            qemu_version,
        }
    }
}

/// What was the same for all.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) memory_bytes: u64,
    pub(super) downtime_limit_ms: f64,
    pub(super) time_limit_ms: f64,
    pub(super) runs: u32,
    /// What kept bytes back, as on the command line.
    pub(super) link: LinkKind,
}

impl Settings {
    pub(super) fn new(memory: Bytes, downtime_limit: Duration, matrix: &Matrix) -> Self {
        Self {
            memory_bytes: memory.0,
            downtime_limit_ms: downtime_limit.as_secs_f64() * 1000.0,
            time_limit_ms: matrix.time_limit.as_secs_f64() * 1000.0,
            runs: matrix.runs,
            link: matrix.link,
        }
    }
}

/// One row at one bandwidth.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) row: &'static str,
    pub(super) about: &'static str,
    workload: &'static str,
    vcpus: usize,
    pub(super) bandwidth_bytes_per_second: f64,
    pub(super) contenders: Vec<Entry>,
}

impl Cell {
    pub(super) fn new(setting: &Setting<'_>, contenders: Vec<Entry>) -> Self {
        Self {
            row: setting.row.name,
            about: setting.row.about,
            workload: setting.row.workload,
            vcpus: setting.row.vcpus(),
            bandwidth_bytes_per_second: setting.bandwidth.bytes_per_second(),
            contenders,
        }
    }
}

/// One contender in a cell.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) contender: Contender,
    pub(super) summary: Option<Summary>,
    /// What the simulator says; `null` where it has no model.
    pub(super) prediction: Option<Prediction>,
    pub(super) runs: Vec<Run>,
}

impl Entry {
    pub(super) fn new(contender: Contender) -> Self {
        Self { contender, summary: None, prediction: None, runs: Vec::new() }
    }

    /// Fills in what follows from the runs.
    pub(super) fn sum_up(&mut self, setting: &Setting<'_>) {
        self.summary = Summary::of(&self.runs);
        self.prediction = self.summary.as_ref().and_then(|summary| {
            let policy = self.contender.policy()?;
            Some(predict(setting, policy, summary))
        });
    }
}

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    pub(super) arrived: bool,
    /// As the engine reports it; for a run that did not arrive, until it ended.
    pub(super) total_ms: f64,
    /// As the engine reports it.
    pub(super) downtime_ms: Option<f64>,
    /// From the last heartbeat seen at the source to the first at the destination.
    pub(super) guest_downtime_ms: Option<f64>,
    /// Right before.
    pub(super) full_speed_pages_per_second_by_vcpu: Vec<f64>,
    /// Time at full speed that the guest would have needed for the work that it did not do until it ran at the destination,
    /// downtime included; the mean over its vCPUs.
    pub(super) work_lost_ms: f64,
    /// The same as a share of the time that it took.
    pub(super) work_lost_share: f64,
    pub(super) work_lost_ms_by_vcpu: Vec<f64>,
    pub(super) work_lost_share_by_vcpu: Vec<f64>,
    /// The downtime left out of work and time: what each vCPU lost while it was to run.
    pub(super) work_lost_apart_from_downtime_by_vcpu: Vec<f64>,
    /// Longest time between two heartbeats of a vCPU during the migration, the downtime left out.
    pub(super) longest_gap_ms: f64,
    /// The same while its full speed was measured: what this host does to a guest that nobody migrates.
    pub(super) longest_gap_before_ms: f64,
    /// Load of this host over the minute before: far above its number of processors, speeds and gaps are those of the host.
    pub(super) host_load: f64,
    pub(super) sent_bytes: u64,
    pub(super) max_throttle: f64,
    /// `ok`, or what the guest or this program found wrong in its memory.
    pub(super) integrity: String,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: f64| ms / 1000.0;
        write!(
            f,
            "{} {:>6.2} s",
            if self.arrived { "arrived in    " } else { "gave up after " },
            seconds(self.total_ms)
        )?;
        if let Some(downtime) = self.downtime_ms {
            write!(f, ", downtime {downtime:.0} ms")?;
        }
        if let Some(downtime) = self.guest_downtime_ms {
            write!(f, " (guest: {downtime:.0} ms)")?;
        }
        write!(
            f,
            ", lost {:.2} s of work, longest gap {:.0} ms, throttle {}, {} sent, memory {}, host load {:.1}",
            seconds(self.work_lost_ms),
            self.longest_gap_ms,
            Throttle::new(self.max_throttle),
            Bytes(self.sent_bytes),
            self.integrity,
            self.host_load
        )
    }
}

/// All runs of a contender in a cell. Downtimes are those of the runs that arrived.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) runs: usize,
    pub(super) arrived: usize,
    pub(super) whole: usize,
    pub(super) total_ms: Figure,
    pub(super) downtime_ms: Option<Figure>,
    pub(super) guest_downtime_ms: Option<Figure>,
    pub(super) full_speed_pages_per_second_by_vcpu: Vec<Figure>,
    pub(super) work_lost_ms: Figure,
    pub(super) work_lost_share: Figure,
    pub(super) work_lost_share_by_vcpu: Vec<Figure>,
    pub(super) work_lost_apart_from_downtime_by_vcpu: Vec<Figure>,
    pub(super) longest_gap_ms: Figure,
    pub(super) longest_gap_before_ms: Figure,
    pub(super) host_load: Figure,
    pub(super) sent_bytes: Figure,
    pub(super) max_throttle: Figure,
}

impl Summary {
    fn of(runs: &[Run]) -> Option<Self> {
        let figure = |value: fn(&Run) -> f64| Figure::of(runs.iter().map(value));
        let of_arrived = |value: fn(&Run) -> Option<f64>| Figure::of(runs.iter().filter_map(value));
        let vcpus = runs.first()?.work_lost_share_by_vcpu.len();
        let by_vcpu = |values: fn(&Run) -> &[f64]| -> Option<Vec<Figure>> {
            let of =
                |vcpu| Figure::of(runs.iter().filter_map(|run| values(run).get(vcpu).copied()));
            (0..vcpus).map(of).collect()
        };
        Some(Self {
            runs: runs.len(),
            arrived: runs.iter().filter(|run| run.arrived).count(),
            whole: runs.iter().filter(|run| run.integrity == "ok").count(),
            total_ms: figure(|run| run.total_ms)?,
            downtime_ms: of_arrived(|run| run.downtime_ms),
            guest_downtime_ms: of_arrived(|run| run.guest_downtime_ms),
            full_speed_pages_per_second_by_vcpu: by_vcpu(|run| {
                &run.full_speed_pages_per_second_by_vcpu
            })?,
            work_lost_ms: figure(|run| run.work_lost_ms)?,
            work_lost_share: figure(|run| run.work_lost_share)?,
            work_lost_share_by_vcpu: by_vcpu(|run| &run.work_lost_share_by_vcpu)?,
            work_lost_apart_from_downtime_by_vcpu: by_vcpu(|run| {
                &run.work_lost_apart_from_downtime_by_vcpu
            })?,
            longest_gap_ms: figure(|run| run.longest_gap_ms)?,
            longest_gap_before_ms: figure(|run| run.longest_gap_before_ms)?,
            host_load: figure(|run| run.host_load)?,
            sent_bytes: figure(|run| run.sent_bytes as f64)?,
            max_throttle: figure(|run| run.max_throttle)?,
        })
    }
}
