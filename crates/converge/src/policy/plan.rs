//! Which throttle costs least.

use std::time::Duration;

use crate::apportion::apportion;
use crate::decision::VcpuThrottles;
use crate::duty::DutyCycle;
use crate::limits::Limits;
use crate::outlook::Outlook;
use crate::predict::Load;
use crate::units::Throttle;

/// What a second of migration is worth in seconds of stolen guest time.
pub(crate) const TIME_WEIGHT: f64 = 0.1;
/// A throttle may cost so much more than the cheapest when it is softer.
const SOFTER_IS_WORTH: f64 = 1.05;
/// Throttles tried.
const GRID: u32 = 100;

/// A throttle and what is expected of it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// By vCPU, or one for all where vCPUs cannot be told apart.
    throttles: Vec<Throttle>,
    per_vcpu: bool,
    /// Guest time stolen per second, the mean over all vCPUs.
    stolen: f64,
    /// Seconds until the guest can be stopped.
    pub(crate) time: f64,
}

impl Plan {
    /// The throttle of the hardest held vCPU.
    pub(crate) fn hardest(&self) -> Throttle {
        self.throttles.iter().copied().fold(Throttle::NONE, Throttle::max)
    }

    /// Stolen time and, with a small weight, total time.
    pub(crate) fn cost(&self) -> f64 {
        (self.stolen + TIME_WEIGHT) * self.time
    }

    /// As vCPUs carry it out, without any stall longer than `max_stall`.
    pub(crate) fn carried_out(&self, max_stall: Duration) -> VcpuThrottles {
        let duty = |throttle: &Throttle| DutyCycle::bounded(*throttle, max_stall);
        if self.per_vcpu {
            let duties: Vec<_> = self.throttles.iter().map(duty).collect();
            if duties.iter().all(Option::is_none) {
                VcpuThrottles::Released
            } else {
                VcpuThrottles::PerVcpu(duties)
            }
        } else {
            self.throttles
                .first()
                .and_then(duty)
                .map_or(VcpuThrottles::Released, VcpuThrottles::Uniform)
        }
    }
}

/// The cheapest throttle within the limits; of those that cost nearly as little the softest. `None` when none works.
/// `rates` are those of the vCPUs, empty where they cannot be told apart.
pub(crate) fn cheapest(outlook: &Outlook, limits: &Limits, rates: &[f64]) -> Option<Plan> {
    cheapest_for(&outlook.cautious, outlook, limits, rates)
        .or_else(|| cheapest_for(&outlook.hopeful, outlook, limits, rates))
}

fn cheapest_for(load: &Load, outlook: &Outlook, limits: &Limits, rates: &[f64]) -> Option<Plan> {
    let plans: Vec<Plan> = (1..=GRID)
        .filter_map(|step| {
            let share = limits.hardest_throttle().share() * f64::from(step) / f64::from(GRID);
            predict(load, outlook, rates, split(outlook, limits, rates, share))
        })
        .collect();
    let least = plans.iter().map(Plan::cost).min_by(f64::total_cmp)?;
    plans.into_iter().find(|plan| plan.cost() <= least * SOFTER_IS_WORTH)
}

/// The hardest throttle within the limits, whatever is expected of it.
pub(crate) fn hardest(outlook: &Outlook, limits: &Limits, rates: &[f64]) -> Plan {
    let throttles = split(outlook, limits, rates, limits.hardest_throttle().share());
    let stolen = mean(&throttles);
    Plan { throttles, per_vcpu: !rates.is_empty(), stolen, time: f64::INFINITY }
}

/// What is expected of the throttles that are in force.
pub(crate) fn in_force(
    outlook: &Outlook,
    rates: &[f64],
    throttles: &VcpuThrottles,
    vcpus: usize,
) -> Option<Plan> {
    let of = |index| throttles.of(index).map_or(Throttle::NONE, |duty| duty.throttle());
    let rates_known = if rates.is_empty() { 1 } else { vcpus };
    let throttles: Vec<Throttle> = (0..rates_known).map(of).collect();
    predict(&outlook.cautious, outlook, rates, throttles.clone())
        .or_else(|| predict(&outlook.hopeful, outlook, rates, throttles))
}

fn split(outlook: &Outlook, limits: &Limits, rates: &[f64], share: f64) -> Vec<Throttle> {
    if rates.is_empty() {
        return vec![Throttle::new(share)];
    }
    apportion(rates, outlook.cautious.rate * (1.0 - share), limits.hardest_throttle())
}

fn predict(
    load: &Load,
    outlook: &Outlook,
    rates: &[f64],
    throttles: Vec<Throttle>,
) -> Option<Plan> {
    let per_vcpu = !rates.is_empty();
    let run_share = if per_vcpu {
        let left: f64 =
            rates.iter().zip(&throttles).map(|(rate, throttle)| rate * throttle.run_share()).sum();
        left / rates.iter().sum::<f64>().max(f64::MIN_POSITIVE)
    } else {
        throttles.first().map_or(1.0, |throttle| throttle.run_share())
    };
    let time = outlook.time_to_stop(load, run_share)?;
    let stolen = mean(&throttles);
    Some(Plan { throttles, per_vcpu, stolen, time })
}

fn mean(throttles: &[Throttle]) -> f64 {
    let sum: f64 = throttles.iter().map(|throttle| throttle.share()).sum();
    sum / throttles.len().max(1) as f64
}
