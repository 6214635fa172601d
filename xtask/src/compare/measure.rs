//! One run: two machines, one migration, and what it cost the guest.

use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use landfall_converge::{ByteRate, Bytes};
use landfall_migrate::report::Report;
use landfall_qmp::{Command, MigrationInfo, MigrationStatus};
use landfall_vmm::memory::GuestRam;
use landfall_vmm::probe::{self, ControlBlock, Plan, VcpuRange};

use super::contender::{Contender, Engine};
use super::link::LinkKind;
use super::machine::Machine;
use super::result::Run;
use super::row::Row;
use super::start::Ends;
use super::watch::{Moment, Seen, Watch, moment};

/// A slow guest is migrated before it has been once over its working set.
const WARM_UP: Duration = Duration::from_secs(4);
/// How much longer than its limit a migration may take to end.
const ENDING: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(20);

/// What is the same for all runs of a cell.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    /// Landfall's program.
    pub(super) landfall: &'a Path,
    /// The guest as QEMU boots it.
    pub(super) elf: &'a Path,
    pub(super) memory: Bytes,
    pub(super) row: &'static Row,
    pub(super) bandwidth: ByteRate,
    pub(super) link: LinkKind,
    pub(super) downtime_limit: Duration,
    pub(super) time_limit: Duration,
    /// The guest's clock, in Hz.
    pub(super) ticks_per_second: u64,
}

impl Setting<'_> {
    pub(super) fn plan(&self) -> Result<(Plan, GuestRam), String> {
        let workload = self.row.workload.parse().map_err(|error| format!("{error}"))?;
        let memory = GuestRam::new(self.memory).map_err(|error| error.to_string())?;
        let plan = Plan::new(workload, self.row.vcpus(), &memory);
        Ok((plan.map_err(|error| error.to_string())?, memory))
    }

    /// Writes the guest for QEMU.
    pub(super) fn write_elf(&self) -> Result<(), String> {
        let (plan, memory) = self.plan()?;
        let elf = probe::elf(&plan, &memory, self.ticks_per_second);
        let elf = elf.map_err(|error| error.to_string())?;
        std::fs::write(self.elf, elf).map_err(|error| format!("{}: {error}", self.elf.display()))
    }
}

/// What the engine says of a migration that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub(super) arrived: bool,
    pub(super) total_ms: f64,
    downtime_ms: Option<f64>,
    pub(super) sent_bytes: u64,
    max_throttle: f64,
}

/// Moves the guest once.
pub(super) fn measure(setting: &Setting<'_>, contender: Contender) -> Result<Run, String> {
    let folder = tempfile::Builder::new().prefix("landfall-compare-").tempdir();
    let folder = folder.map_err(|error| format!("no folder for sockets: {error}"))?;
    let (plan, _) = setting.plan()?;
    let ranges = &plan.vcpus;
    let mut ends = Ends::start(setting, contender.engine(), folder.path())?;
    let memory = ends.source.memory().find().ok_or("the source's memory is not found")?;
    warm_up(ranges, &memory)?;
    ends.prepare(setting, contender)?;

    let host_load = host_load();
    let watch = Watch::start(ranges.clone(), Arc::clone(&memory), ends.destination.memory())?;
    reset_gaps(ranges, &memory)?;
    let before = now(ranges, &memory)?;
    sleep(setting.row.full_speed_over);
    let begin = now(ranges, &memory)?;
    let longest_gap_before_ms = longest_gap(ranges, &memory, setting.ticks_per_second)?;
    reset_gaps(ranges, &memory)?;
    ends.migrate()?;
    let told = follow(&mut ends.source, setting, contender.engine(), begin.at)?;
    if told.arrived {
        // Long enough for the counters at the destination to be seen to move.
        sleep(TICK * 5);
    }
    let seen = watch.finish()?;

    let end = end(&seen, ranges.len(), told.arrived)?;
    let (holder, held) = match (&seen.destination_memory, told.arrived) {
        (Some(memory), true) => (&mut ends.destination, Arc::clone(memory)),
        (None, true) => return Err("the destination's memory is not found".to_owned()),
        (_, false) => (&mut ends.source, Arc::clone(&memory)),
    };
    let stopped = holder.client.execute(&Command::Stop);
    stopped.map_err(|error| holder.blamed(&error))?;
    let check = probe::check(&plan, &held).map_err(|error| error.to_string())?;

    let lost = work_lost(&seen, &before, &begin, end);
    Ok(Run {
        arrived: told.arrived,
        total_ms: told.total_ms,
        downtime_ms: told.downtime_ms,
        guest_downtime_ms: if told.arrived { guest_downtime(&seen, ranges.len()) } else { None },
        full_speed_pages_per_second_by_vcpu: lost.iter().map(|lost| lost.full_speed).collect(),
        work_lost_ms: lost.iter().map(|lost| lost.ms).sum::<f64>() / lost.len().max(1) as f64,
        work_lost_share: lost.iter().map(|lost| lost.share).sum::<f64>() / lost.len().max(1) as f64,
        work_lost_ms_by_vcpu: lost.iter().map(|lost| lost.ms).collect(),
        work_lost_share_by_vcpu: lost.iter().map(|lost| lost.share).collect(),
        work_lost_apart_from_downtime_by_vcpu: lost.iter().map(|lost| lost.apart).collect(),
        longest_gap_ms: longest_gap(ranges, &memory, setting.ticks_per_second)?,
        longest_gap_before_ms,
        host_load,
        sent_bytes: told.sent_bytes,
        max_throttle: told.max_throttle,
        integrity: check.integrity,
    })
}

/// Processes that wanted to run here, over the last minute; 0 where the system does not say.
fn host_load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Waits until the guest has been once over its working set: before, its dirty rate is not what it will be.
pub(super) fn warm_up(ranges: &[VcpuRange], memory: &GuestRam) -> Result<(), String> {
    let deadline = Instant::now() + WARM_UP;
    let alive = |moment: &Moment| moment.vcpus.iter().all(|vcpu| vcpu.heartbeat > 0);
    let round = |moment: &Moment| {
        moment.vcpus.iter().zip(ranges).all(|(vcpu, range)| vcpu.work >= range.pages)
    };
    loop {
        let moment = now(ranges, memory)?;
        if alive(&moment) && (round(&moment) || Instant::now() >= deadline) {
            return Ok(());
        }
        if Instant::now() >= deadline + WARM_UP {
            return Err("a vCPU of the guest does not run".to_owned());
        }
        sleep(TICK);
    }
}

fn now(ranges: &[VcpuRange], memory: &GuestRam) -> Result<Moment, String> {
    moment(ranges, memory).ok_or_else(|| "the guest's counters cannot be read".to_owned())
}

fn reset_gaps(ranges: &[VcpuRange], memory: &GuestRam) -> Result<(), String> {
    for range in ranges {
        let gap = range.word(ControlBlock::LongestGap);
        memory.store(gap, 0).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The longest gap between two heartbeats of any vCPU, by the guest's own clock.
fn longest_gap(ranges: &[VcpuRange], memory: &GuestRam, hz: u64) -> Result<f64, String> {
    let mut longest = 0;
    for range in ranges {
        let gap = range.get(memory, ControlBlock::LongestGap);
        longest = longest.max(gap.map_err(|error| error.to_string())?);
    }
    Ok(longest as f64 / hz as f64 * 1000.0)
}

/// Waits for the end of the migration.
pub(super) fn follow(
    source: &mut Machine,
    setting: &Setting<'_>,
    engine: Engine,
    begin: Instant,
) -> Result<Told, String> {
    let (mut cancelled, mut max_throttle) = (false, 0.0_f64);
    loop {
        let info: MigrationInfo =
            source.client.query(&Command::QueryMigrate).map_err(|error| source.blamed(&error))?;
        if let Some(percent) = info.cpu_throttle_percentage {
            max_throttle = max_throttle.max(percent as f64 / 100.0);
        }
        if info.status.is_final() {
            match engine {
                Engine::Qemu => return told_by_qemu(&info, max_throttle, begin),
                Engine::Landfall => {
                    if let Some(report) = info.landfall.and_then(|landfall| landfall.report) {
                        return told_by_landfall(report);
                    }
                }
            }
        }
        // Landfall keeps its limit itself.
        let limit = match engine {
            Engine::Qemu => setting.time_limit,
            Engine::Landfall => setting.time_limit + ENDING / 2,
        };
        if begin.elapsed() > limit && !cancelled {
            cancelled = true;
            let asked = source.client.execute(&Command::MigrateCancel);
            asked.map_err(|error| source.blamed(&error))?;
        }
        if begin.elapsed() > setting.time_limit + ENDING {
            return Err("the migration does not end".to_owned());
        }
        sleep(TICK);
    }
}

fn told_by_qemu(info: &MigrationInfo, max_throttle: f64, begin: Instant) -> Result<Told, String> {
    let ram = info.ram.clone().unwrap_or_default();
    let arrived = match info.status {
        MigrationStatus::Completed => true,
        MigrationStatus::Cancelled => false,
        _ => return Err(info.error_desc.clone().unwrap_or_else(|| "it failed".to_owned())),
    };
    // QEMU forgets its counters with the migration when it is cancelled.
    let total_ms = info.total_time.map(|ms| ms as f64);
    Ok(Told {
        arrived,
        total_ms: total_ms.unwrap_or_else(|| begin.elapsed().as_secs_f64() * 1000.0),
        downtime_ms: info.downtime.filter(|_| arrived).map(|ms| ms as f64),
        sent_bytes: ram.transferred,
        max_throttle,
    })
}

fn told_by_landfall(report: serde_json::Value) -> Result<Told, String> {
    use landfall_migrate::report::Outcome;
    let report: Report = serde_json::from_value(report).map_err(|error| error.to_string())?;
    let arrived = report.outcome == Outcome::Completed;
    if matches!(report.outcome, Outcome::Failed | Outcome::InDoubt) {
        return Err(report.reason.unwrap_or_else(|| "it failed".to_owned()));
    }
    Ok(Told {
        arrived,
        total_ms: report.total_ms,
        downtime_ms: arrived.then_some(report.downtime_ms),
        sent_bytes: report.sent_bytes,
        max_throttle: report.max_throttle,
    })
}

/// When the migration was over for the guest: when all of its vCPUs ran at the destination.
fn end(seen: &Seen, vcpus: usize, arrived: bool) -> Result<Instant, String> {
    if !arrived {
        return seen.source.last().map(|moment| moment.at).ok_or_else(|| "nothing seen".to_owned());
    }
    let beats = (0..vcpus).map(|vcpu| seen.first_beat_at_destination(vcpu));
    let last = beats.collect::<Option<Vec<_>>>().and_then(|beats| beats.into_iter().max());
    last.ok_or_else(|| "a vCPU does not run at the destination".to_owned())
}

/// How long the hearts of all vCPUs stood still for the switchover, the longest of them.
fn guest_downtime(seen: &Seen, vcpus: usize) -> Option<f64> {
    let still = (0..vcpus).map(|vcpu| stood_still(seen, vcpu)).collect::<Option<Vec<_>>>()?;
    still.into_iter().max().map(|time| time.as_secs_f64() * 1000.0)
}

/// How long the heart of one vCPU did.
fn stood_still(seen: &Seen, vcpu: usize) -> Option<Duration> {
    let from = seen.last_beat_at_source(vcpu)?;
    Some(seen.first_beat_at_destination(vcpu)?.saturating_duration_since(from))
}

/// What one vCPU has lost.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// In pages a second.
    full_speed: f64,
    /// Time that it would have needed at full speed for what it has not done.
    ms: f64,
    /// As a share of the time that the migration took.
    share: f64,
    /// The downtime left out of both: what it lost while it was to run.
    apart: f64,
}

fn work_lost(seen: &Seen, before: &Moment, begin: &Moment, end: Instant) -> Vec<Lost> {
    let measured = begin.at.saturating_duration_since(before.at).as_secs_f64();
    let took = end.saturating_duration_since(begin.at).as_secs_f64();
    let lost = |vcpu: usize| {
        let start = begin.vcpus[vcpu].work;
        let full_speed = (start - before.vcpus[vcpu].work) as f64 / measured;
        let done = seen.work_at(vcpu, end).saturating_sub(start) as f64;
        let seconds = if full_speed > 0.0 { took - done / full_speed } else { 0.0 };
        let still = stood_still(seen, vcpu).unwrap_or_default().as_secs_f64();
        let apart = (seconds - still) / (took - still).max(f64::MIN_POSITIVE);
        Lost { full_speed, ms: seconds * 1000.0, share: seconds / took, apart }
    };
    (0..begin.vcpus.len()).map(lost).collect()
}

#[cfg(test)]
#[path = "measure_tests.rs"]
mod tests;
