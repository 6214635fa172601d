//! Who is held back: the guest's budget of dirty pages, shared among its vCPUs.

use crate::units::Throttle;

/// Less than this is not worth a timer.
const LEAST: f64 = 0.01;

/// Throttles by vCPU that bring the sum of `rates` (pages per second of run time) down to `budget`.
///
/// Every vCPU is held to the same cap on its dirty rate, as water finds its level: light writers and readers stay
/// below it and go free. No vCPU is held harder than `max`, so the budget may be missed.
pub(crate) fn apportion(rates: &[f64], budget: f64, max: Throttle) -> Vec<Throttle> {
    let level = water_level(rates, budget);
    rates
        .iter()
        .map(|rate| {
            let share = if *rate > 0.0 { 1.0 - level / rate } else { 0.0 };
            if share < LEAST { Throttle::NONE } else { Throttle::new(share).min(max) }
        })
        .collect()
}

/// The cap at which the capped rates sum up to `budget`.
fn water_level(rates: &[f64], budget: f64) -> f64 {
    let mut sorted: Vec<f64> = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut left = budget.max(0.0);
    for (index, rate) in sorted.iter().enumerate() {
        let level = left / (sorted.len() - index) as f64;
        if *rate >= level {
            return level;
        }
        left -= rate;
    }
    f64::INFINITY
}

#[cfg(test)]
#[path = "apportion_tests.rs"]
mod tests;
