//! What a migration of a guest would do and cost, before any page of it is sent.

mod measuring;

use std::panic::resume_unwind;
use std::time::Duration;

use landfall_converge::measurement::DirtyMeasurement;
use landfall_converge::simulator::{
    LinkModel, Rhythm, Scenario, SimulatedOutcome, SimulatedRun, VcpuModel, Workload, simulate,
};
use landfall_converge::{ByteRate, Bytes, Limits, Policy};
use landfall_qmp::{Client, ClientError, DirtyMeasurement as Told, DirtyRateInfo};

use crate::quantities::{in_ms, milliseconds};

/// What stopping, device state and the last messages take where nothing is known of them yet; as a migration assumes.
const FIXED_DOWNTIME: Duration = Duration::from_millis(5);

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The machine did not answer, or refused.
    #[error(transparent)]
    Monitor(#[from] ClientError),
    /// A QEMU that is too old to measure.
    #[error(
        "this QEMU has no 'calc-dirty-rate', which came with QEMU 5.2: it cannot say what its guest writes"
    )]
    CannotMeasure,
    /// The measurement ended without a result.
    #[error("the guest was not measured to the end: {0}")]
    NotMeasured(String),
}

/// How much faster a guest is taken to be that has rewritten all it has within the shortest time that QEMU counts in; as the
/// controller takes it to be once it steers.
pub const HIDDEN: f64 = 8.0;

/// A sweep takes longer when it stands where the migration begins to send, and nobody knows where it will stand. So
/// several places are tried, and the one in the middle is told.
const PHASES: [f64; 5] = [0.0, 0.2, 0.4, 0.6, 0.8];

/// Watches the guest of any machine for so long.
///
/// # Errors
/// When the machine does not answer, refuses, or does not measure to the end.
pub fn watch(client: &mut Client, lasting: Duration) -> Result<(DirtyRateInfo, Told), PlanError> {
    if client.version().is_landfall() {
        measuring::by_landfall(client, lasting)
    } else {
        measuring::by_qemu(client, lasting)
    }
}

/// The migration of a guest that was watched, over a link of so much bandwidth, for the simulator. A guest of Landfall's `own` tells
/// more of itself than one of QEMU's.
#[must_use]
pub fn scenario(
    told: &Told,
    own: bool,
    bandwidth: ByteRate,
    policy: Policy,
    limits: Limits,
) -> Scenario {
    let measured = measurement(told);
    let mut scenario = Scenario::new(measured.guest(), LinkModel::Constant(bandwidth), policy);
    scenario.limits = limits;
    scenario.steered = !own;
    if !own && hides_its_rate(told) {
        scenario.guest.vcpus.iter_mut().for_each(|vcpu| vcpu.rate = vcpu.rate * HIDDEN);
    }
    scenario.log_knows_vcpus = !measured.vcpu_rates.is_empty();
    let sync = Duration::try_from_secs_f64(told.sync_ms / 1e3).unwrap_or_default();
    scenario.fixed_downtime = FIXED_DOWNTIME + sync;
    // A migration that has not arrived after sending all memory so many times never will.
    let never = measured.memory.time_at(bandwidth).unwrap_or_default().saturating_mul(10);
    let limit = limits.time_limit.unwrap_or(Duration::MAX);
    scenario.horizon = never.min(limit).saturating_add(Duration::from_secs(60));
    scenario
}

/// What the machine told, as the simulator takes it.
fn measurement(told: &Told) -> DirtyMeasurement {
    let time = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
    DirtyMeasurement {
        windows: told
            .windows
            .iter()
            .map(|window| (time(window.window_ms), Bytes(window.distinct_bytes)))
            .collect(),
        rhythm: told.bursts.map_or(Rhythm::Steady, |bursts| Rhythm::Bursts {
            on: time(bursts.on_ms),
            off: time(bursts.off_ms),
        }),
        vcpu_rates: told.vcpu_bytes_per_second.iter().copied().map(ByteRate::new).collect(),
        memory: Bytes(told.memory_bytes),
        non_zero: Bytes(told.non_zero_bytes),
    }
}

/// The same migration with the guest in different places, the quickest first; those that do not arrive last.
#[must_use]
pub fn by_phase(scenario: &Scenario, policy: Policy) -> Vec<SimulatedRun> {
    let sweeps = |vcpu: &VcpuModel| matches!(vcpu.workload, Workload::Sweep { .. });
    let phases = if scenario.guest.vcpus.iter().any(sweeps) { &PHASES[..] } else { &[0.0] };
    let run = |phase: f64| {
        let mut scenario = Scenario { policy, ..scenario.clone() };
        scenario.guest.vcpus.iter_mut().for_each(|vcpu| vcpu.phase = phase);
        simulate(&scenario)
    };
    let mut runs = std::thread::scope(|scope| {
        let begun: Vec<_> = phases.iter().map(|phase| scope.spawn(|| run(*phase))).collect();
        let ended = begun
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.collect::<Vec<_>>()
    });
    runs.sort_by_key(|run| (run.outcome != SimulatedOutcome::Completed, run.total));
    runs
}

/// Whether the guest has rewritten all it has already in the shortest window.
#[must_use]
pub fn hides_its_rate(told: &Told) -> bool {
    let (first, last) = (told.windows.first(), told.windows.last());
    first.zip(last).is_some_and(|(first, last)| {
        first.distinct_bytes > 0 && first.distinct_bytes as f64 > last.distinct_bytes as f64 * 0.9
    })
}

/// What the guest does, in one line.
#[must_use]
pub fn habit(told: &Told) -> String {
    let rate = ByteRate::new(told.dirty_rate_bytes_per_second);
    let set = Bytes(told.working_set_bytes);
    let mut text = match told.pattern.as_str() {
        "idle" => return "the guest writes nothing".to_owned(),
        "sweep" => format!("the guest rewrites {set} page by page at {rate}"),
        "random" => format!("the guest rewrites {set} at random at {rate}"),
        _ => format!("the guest rewrites {set}, a part of it much more often, at {rate}"),
    };
    if let Some(bursts) = told.bursts {
        let (on, off) = (milliseconds(bursts.on_ms), milliseconds(bursts.off_ms));
        text += &format!(", for {on} at a time with {off} of rest");
    }
    if !told.working_set_is_known {
        text += "; no end of what it writes to was seen, so all memory in use is taken for it";
    }
    text
}

/// What a simulated migration does, in one line.
#[must_use]
pub fn sentence(run: &SimulatedRun) -> String {
    if run.outcome != SimulatedOutcome::Completed {
        return format!("does not arrive; {}", run.verdict.text);
    }
    let mut text = format!(
        "arrives in {} with {} of downtime",
        milliseconds(in_ms(run.total)),
        milliseconds(in_ms(run.downtime)),
    );
    if run.max_throttle.is_none() {
        text += ", never throttled";
    } else {
        text += &format!(
            ", throttled to {} at the most, which steals {} of guest time ({:.0} %)",
            run.max_throttle,
            milliseconds(in_ms(run.stolen)),
            share_stolen(run) * 100.0
        );
    }
    text
}

/// The share of its time that a guest loses.
#[must_use]
pub fn share_stolen(run: &SimulatedRun) -> f64 {
    if run.total.is_zero() { 0.0 } else { run.stolen.as_secs_f64() / run.total.as_secs_f64() }
}
