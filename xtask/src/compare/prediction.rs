//! What the simulator says of the same migration, and how far off it is.

use landfall_converge::simulator::{
    GuestModel, LinkModel, Rhythm, Scenario, SimulatedOutcome, VcpuModel, Workload, simulate,
};
use landfall_converge::{ByteRate, Bytes, Limits, PAGE_SIZE, Policy};
use landfall_vmm::probe::Workload as Probe;
use serde::Serialize;

use super::figures::Figure;
use super::measure::Setting;
use super::result::Summary;
use super::row::Writes;

/// What the simulator says, and by how much what was measured is more (or less, if negative), as a share of what it says.
/// An error is `null` where one of both did not arrive, or nothing was expected.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Prediction {
    pub(super) arrives: bool,
    /// Whether that is what happened in most of the runs.
    pub(super) agrees: bool,
    pub(super) total_ms: f64,
    pub(super) total_error: Option<f64>,
    pub(super) sent_bytes: f64,
    pub(super) sent_error: Option<f64>,
    /// Guest time stolen by the throttle, and the downtime.
    pub(super) work_lost_ms: f64,
    pub(super) work_lost_error: Option<f64>,
    pub(super) downtime_ms: f64,
    pub(super) downtime_error: Option<f64>,
    pub(super) max_throttle: f64,
}

/// Simulates the migrations that `summary` sums up: the same guest at the speed that it was measured to have, the same link
/// and limits.
pub(super) fn predict(setting: &Setting<'_>, policy: Policy, summary: &Summary) -> Prediction {
    let link = LinkModel::Constant(setting.bandwidth);
    let mut scenario = Scenario::new(guest(setting, summary), link, policy);
    scenario.limits = Limits {
        max_downtime: setting.downtime_limit,
        time_limit: Some(setting.time_limit),
        ..Limits::default()
    };
    scenario.horizon = setting.time_limit;
    // As Landfall chooses its dirty log.
    scenario.log_knows_vcpus = setting.row.vcpus() > 1;
    let run = simulate(&scenario);
    let arrives = run.outcome == SimulatedOutcome::Completed;
    let happened = summary.arrived * 2 > summary.runs;
    let both = arrives && happened;
    let error = |measured: Option<Figure>, predicted: f64| {
        measured.filter(|_| both && predicted > 0.0).map(|figure| figure.median / predicted - 1.0)
    };
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let (total_ms, downtime_ms) = (ms(run.total), ms(run.downtime));
    let (sent_bytes, work_lost_ms) = (run.sent.0 as f64, ms(run.stolen + run.downtime));
    Prediction {
        arrives,
        agrees: arrives == happened,
        total_ms,
        total_error: error(Some(summary.total_ms), total_ms),
        sent_bytes,
        sent_error: error(Some(summary.sent_bytes), sent_bytes),
        work_lost_ms,
        work_lost_error: error(Some(summary.work_lost_ms), work_lost_ms),
        downtime_ms,
        downtime_error: error(summary.downtime_ms, downtime_ms),
        max_throttle: run.max_throttle.share(),
    }
}

fn guest(setting: &Setting<'_>, summary: &Summary) -> GuestModel {
    // Parsed once already, when the guest was laid out.
    let probe: Probe = setting.row.workload.parse().unwrap_or_default();
    let writers = setting.row.writes.iter().filter(|writes| **writes != Writes::Nothing).count();
    let set = Bytes(probe.working_set.0 / writers.max(1) as u64);
    let mut base = 0;
    let vcpus = setting.row.writes.iter().zip(&summary.full_speed_pages_per_second_by_vcpu);
    let vcpus = vcpus.flat_map(|(writes, speed)| {
        let workload = workload(*writes, set, probe.hot);
        // The speed was measured over bursts and rests alike.
        let (rhythm, awake) = probe.burst.map_or((Rhythm::Steady, 1.0), |burst| {
            let share = burst.on.as_secs_f64() / (burst.on + burst.off).as_secs_f64();
            (Rhythm::Bursts { on: burst.on, off: burst.off }, share)
        });
        let rate = ByteRate::new(speed.median * PAGE_SIZE as f64 / awake);
        let mut vcpus = GuestModel::single(setting.memory, workload, rate).vcpus;
        for vcpu in &mut vcpus {
            (vcpu.rhythm, vcpu.base) = (rhythm, Bytes(base));
        }
        base += workload.extent().0;
        vcpus
    });
    let vcpus: Vec<VcpuModel> = vcpus.collect();
    GuestModel { memory: setting.memory, zero: setting.memory.saturating_sub(Bytes(base)), vcpus }
}

fn workload(writes: Writes, set: Bytes, hot: Option<Bytes>) -> Workload {
    match writes {
        Writes::InOrder => Workload::Sweep { set },
        Writes::AtRandom => Workload::Random { set },
        Writes::MostlyHot => {
            let hot = hot.unwrap_or(Bytes(set.0 / 8));
            // The eighth that goes anywhere also goes to the hot part.
            let elsewhere = (1.0 - hot.0 as f64 / set.0 as f64) / 8.0;
            Workload::HotAndCold { hot, cold: set.saturating_sub(hot), hot_share: 1.0 - elsewhere }
        }
        Writes::Nothing => Workload::Idle,
    }
}
