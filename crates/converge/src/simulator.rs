//! A migration in a model: the same [`Controller`](crate::Controller), a guest and a link made of arithmetic.
//!
//! It answers what cannot be measured, or not yet: a guest of terabytes, a link that fails for a while, what another
//! policy would have done. Memory is modelled in cells of one or more pages, so that a guest of 12 TB takes no longer than
//! one of 12 GB.

mod guest;
mod link;
mod memory;
mod qemu;
mod run;

use std::time::Duration;

use serde::Serialize;

use crate::decision::GiveUpReason;
use crate::limits::{Limits, Policy};
use crate::policy::SteppedParameters;
use crate::units::{ByteRate, Bytes, Throttle};
use crate::verdict::Verdict;

pub use guest::{GuestModel, Rhythm, VcpuModel, Workload};
pub use link::LinkModel;
pub use run::simulate;

/// All that a simulated migration depends on. The same scenario always gives the same run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Memory and what is done to it.
    pub guest: GuestModel,
    /// What carries it.
    pub link: LinkModel,
    /// Who decides.
    pub policy: Policy,
    /// What it may cost.
    pub limits: Limits,
    /// The part of downtime that does not depend on pages.
    pub fixed_downtime: Duration,
    /// Parameters of [`Policy::Stepped`].
    pub stepped: SteppedParameters,
    /// The guest is moved by a stock QEMU that is steered: [`Policy::Adaptive`] by way of QEMU's throttle, which moves
    /// seldom, and of QEMU's switchover. The other policies are as QEMU has them in any case.
    pub steered: bool,
    /// Whether the dirty log tells vCPUs apart, as a dirty ring does and a bitmap does not.
    pub log_knows_vcpus: bool,
    /// How far off the machine's account of stolen time may be, as a share of it: a timer that fires late lets a guest
    /// that is held at 99 % run for much longer, or shorter, than its 0.1 ms.
    pub stolen_error: f64,
    /// The run is broken off after so much simulated time, so that one that never arrives ends.
    pub horizon: Duration,
}

impl Scenario {
    /// A scenario with everything else as it is by default: no device state to speak of, and an hour to get there.
    #[must_use]
    pub fn new(guest: GuestModel, link: LinkModel, policy: Policy) -> Self {
        Self {
            guest,
            link,
            policy,
            limits: Limits::default(),
            fixed_downtime: Duration::from_millis(5),
            stepped: SteppedParameters::default(),
            steered: false,
            log_knows_vcpus: false,
            stolen_error: 0.0,
            horizon: Duration::from_secs(3600),
        }
    }
}

/// How a simulated migration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulatedOutcome {
    /// The guest arrived.
    Completed,
    /// The controller gave up.
    GaveUp(GiveUpReason),
    /// It was still under way when [`Scenario::horizon`] was reached.
    Unfinished,
}

/// What a simulated migration did and what it cost.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedRun {
    /// How it ended.
    pub outcome: SimulatedOutcome,
    /// From the beginning to the end, downtime included.
    pub total: Duration,
    /// How long the guest stood still for the switchover; zero when it never did.
    pub downtime: Duration,
    /// What the controller expected when it decided to switch over.
    pub predicted_downtime: Duration,
    /// Switchovers that were broken off because the exact sync did not fit.
    pub abandoned_switchovers: u32,
    /// Passes begun.
    pub passes: u32,
    /// Bytes that left.
    pub sent: Bytes,
    /// Guest time stolen by the throttle, the mean over all vCPUs; downtime not counted.
    pub stolen: Duration,
    /// Guest time stolen, by vCPU.
    pub stolen_by_vcpu: Vec<Duration>,
    /// The longest stall of any vCPU.
    pub max_stall: Duration,
    /// The hardest throttle of any vCPU.
    pub max_throttle: Throttle,
    /// What the controller believed last.
    pub verdict: Verdict,
    /// Some 20 points a second.
    pub timeline: Vec<SimulatedPoint>,
}

/// One point of a simulated time line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SimulatedPoint {
    /// Since the beginning.
    pub at: Duration,
    /// The pass under way.
    pub pass: u32,
    /// What would have to be sent if the guest stopped now.
    pub remaining: Bytes,
    /// Distinct bytes dirtied a second of wall time, as the controller believes.
    pub dirty_rate: ByteRate,
    /// Bytes that leave a second, as the controller believes.
    pub bandwidth: ByteRate,
    /// The hardest throttle of any vCPU.
    pub throttle: Throttle,
}

#[cfg(test)]
#[path = "simulator_tests.rs"]
mod tests;
