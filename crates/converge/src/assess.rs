//! The verdict: what is believed, in words that name the numbers.

use crate::decision::VcpuThrottles;
use crate::estimate::{Estimator, page_rate};
use crate::limits::{Limits, Policy, Sampling};
use crate::outlook::Outlook;
use crate::units::{ByteRate, Throttle};
use crate::verdict::{Verdict, VerdictState};

/// Harvests before anything is claimed: 150 ms at the usual rate.
const LEAST_HARVESTS: u32 = 3;

/// What a verdict rests on.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) policy: Policy,
    pub(crate) sampling: Sampling,
    pub(crate) limits: &'a Limits,
    /// The hardest throttle that the policy can come to.
    pub(crate) hardest: Throttle,
    pub(crate) estimator: &'a Estimator,
    pub(crate) outlook: &'a Outlook,
    pub(crate) throttles: &'a VcpuThrottles,
    /// Seconds to go under the throttle in force.
    pub(crate) to_go: Option<f64>,
    /// The hardest throttle was tried and did not help.
    pub(crate) futile: bool,
    /// The guest rewrote about as much as was sent meanwhile, so that the estimates tell only the least that it may do.
    pub(crate) hides: bool,
}

/// The verdict before anything was measured.
pub(crate) fn nothing_yet() -> Verdict {
    Verdict {
        state: VerdictState::Measuring,
        text: "not enough has been measured yet".to_owned(),
        needed_throttle: Throttle::NONE,
        unthrottled_dirty_rate: ByteRate::ZERO,
        bandwidth: ByteRate::ZERO,
    }
}

/// The verdict that the evidence supports.
pub(crate) fn assess(evidence: &Evidence<'_>) -> Verdict {
    let (estimator, outlook) = (evidence.estimator, evidence.outlook);
    let needed = outlook.needed();
    let measured = Verdict {
        needed_throttle: Throttle::new(needed),
        unthrottled_dirty_rate: page_rate(estimator.dirtying.unthrottled()),
        bandwidth: ByteRate::new(estimator.bandwidth.bytes_per_second()),
        ..nothing_yet()
    };
    if estimator.bandwidth.is_stalled() {
        let silent = estimator.bandwidth.silent().as_secs_f64();
        return Verdict {
            state: VerdictState::Stalled,
            text: format!(
                "nothing has left for the destination in {silent:.0} s; see to the link or the destination"
            ),
            ..measured
        };
    }
    // A policy that looks once a pass gets few readings, each of which is long enough to stand alone.
    let enough = match evidence.sampling {
        Sampling::Timer(_) => LEAST_HARVESTS,
        Sampling::PassEnd => 1,
    };
    if estimator.harvests < enough {
        return measured;
    }
    if evidence.limits.max_downtime <= estimator.fixed_downtime {
        return Verdict {
            state: VerdictState::CannotConverge,
            text: format!(
                "stopping and restarting the guest alone takes {:.0} ms, and a downtime of {:.0} ms is allowed: allow a longer one",
                estimator.fixed_downtime.as_secs_f64() * 1e3,
                evidence.limits.max_downtime.as_secs_f64() * 1e3,
            ),
            ..measured
        };
    }
    if !estimator.bandwidth.is_known() {
        return if estimator.keeps_up { keeps_up(measured) } else { measured };
    }
    let rates = rates(evidence, &measured);
    // Held back, a guest may be near its end and still owe it to the throttle.
    let by_itself = *evidence.throttles == VcpuThrottles::Released || outlook.holds_unaided();
    if let Some(time) = outlook.unaided().filter(|_| by_itself && !evidence.hides) {
        return Verdict {
            state: VerdictState::Converging,
            needed_throttle: Throttle::NONE,
            text: format!("{rates}: it arrives unaided, about {time:.1} s to go"),
            ..measured
        };
    }
    let at_best = outlook.needed_at_best();
    if evidence.futile || at_best > evidence.hardest.share() {
        return Verdict {
            state: VerdictState::CannotConverge,
            text: cannot(evidence, &rates, needed),
            ..measured
        };
    }
    Verdict {
        state: VerdictState::NeedsThrottle,
        text: needs(evidence, &rates, needed),
        ..measured
    }
}

/// The link was never the bottleneck, so nobody knows what it carries; but all that was asked of it left at once.
fn keeps_up(measured: Verdict) -> Verdict {
    Verdict {
        state: VerdictState::Converging,
        needed_throttle: Throttle::NONE,
        text: format!(
            "the guest dirties {}, and the link carried it as fast as it came: it arrives unaided",
            measured.unthrottled_dirty_rate
        ),
        ..measured
    }
}

fn rates(evidence: &Evidence<'_>, measured: &Verdict) -> String {
    // Seen only once a pass, a page that was written ten times looks like one that was written once.
    let at_least = match evidence.sampling {
        Sampling::Timer(_) => "",
        Sampling::PassEnd => "at least ",
    };
    format!(
        "the guest dirties {at_least}{}, the link carries {}",
        measured.unthrottled_dirty_rate, measured.bandwidth
    )
}

/// Rounded up: a throttle of 88 % must not be called enough where 88.3 % is needed.
fn per_cent(share: f64) -> String {
    format!("{:.0} %", (share * 100.0 - 1e-9).ceil())
}

fn cannot(evidence: &Evidence<'_>, rates: &str, needed: f64) -> String {
    let remedy = "allow a longer downtime, or give it a faster link";
    if evidence.futile && needed <= evidence.hardest.share() {
        return format!(
            "{rates}: the hardest throttle allowed, {}, was tried and did not help; {remedy}",
            evidence.hardest
        );
    }
    if needed <= 0.0 {
        return format!("{rates}: it does not arrive in the time that is left; {remedy}");
    }
    let whose = match evidence.policy {
        Policy::Off | Policy::Adaptive => "allowed",
        Policy::Classic | Policy::Stepped => "that this policy comes to",
    };
    let needed =
        if needed > Throttle::MAX.share() { "more than 99 %".to_owned() } else { per_cent(needed) };
    format!(
        "{rates}: a throttle of {needed} would be needed, beyond the {} {whose}; {remedy}",
        evidence.hardest
    )
}

fn needs(evidence: &Evidence<'_>, rates: &str, needed: f64) -> String {
    let without = if needed > 0.0 {
        format!(
            "it does not arrive without auto-converge; a throttle of at least {} is needed",
            per_cent(needed)
        )
    } else if evidence.hides {
        "it rewrites its memory as fast as it is sent, and does not arrive without auto-converge"
            .to_owned()
    } else {
        "it takes too long without auto-converge".to_owned()
    };
    let held = evidence.throttles.hardest();
    let what = match (held.is_none(), evidence.to_go) {
        (true, _) => String::new(),
        (false, Some(time)) => format!("; held at {held}, about {time:.1} s to go"),
        (false, None) => format!("; held at {held}"),
    };
    format!("{rates}: {without}{what}")
}

#[cfg(test)]
#[path = "assess_tests.rs"]
mod tests;
