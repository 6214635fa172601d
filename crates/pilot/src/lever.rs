//! The parameters that make QEMU's throttle go where it is wanted.

use landfall_converge::Throttle;
use serde_json::{Map, Value, json};

/// The names of all that is moved.
pub(crate) const INITIAL: &str = "cpu-throttle-initial";
pub(crate) const INCREMENT: &str = "cpu-throttle-increment";
pub(crate) const MAX: &str = "max-cpu-throttle";
pub(crate) const THRESHOLD: &str = "throttle-trigger-threshold";
pub(crate) const TAILSLOW: &str = "cpu-throttle-tailslow";

/// No throttle at all cannot be had once QEMU has begun: a stall of 0.1 ms in every 10 ms is the least.
pub(crate) const LEAST: u8 = 1;

/// A guest that dirties so much of what is sent, in per cent, outruns the link.
const OUTRUNS: u64 = 85;

/// Where the throttle should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// QEMU is not to throttle.
    Free,
    /// It is to let go what it holds.
    LetGo,
    /// It is to hold the guest at so many per cent.
    Hold(u8),
}

impl Aim {
    /// What the controller decided, in per cent.
    pub(crate) fn at(throttle: Throttle) -> Self {
        match per_cent(throttle) {
            0 => Self::LetGo,
            percent => Self::Hold(percent),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a throttle is 0 to 0.99, so this is 0 to 99"
)]
pub(crate) fn per_cent(throttle: Throttle) -> u8 {
    (throttle.share() * 100.0).round() as u8
}

/// The arguments of `migrate-set-parameters` that bring the throttle from where it is (`in_force`, in per cent) to `aim`.
/// `threshold` is what makes a pass a bad one as long as nothing else is wanted.
pub(crate) fn parameters(aim: Aim, in_force: u8, threshold: u64) -> Map<String, Value> {
    let (goal, threshold) = match aim {
        Aim::Free => (LEAST, threshold),
        // Any pass in which the guest wrote anything is to be a bad one, or QEMU would not move.
        Aim::LetGo => (LEAST, 1),
        // QEMU looks at one more period before it throttles. Should the guest not outrun the link in that one, all the better.
        Aim::Hold(goal) if in_force <= LEAST => (goal, OUTRUNS),
        Aim::Hold(goal) => (goal, 1),
    };
    let step = goal.saturating_sub(in_force).max(1);
    let values = json!({ INITIAL: goal, INCREMENT: step, MAX: goal, THRESHOLD: threshold });
    match values {
        Value::Object(values) => values,
        _ => Map::new(),
    }
}

#[cfg(test)]
#[path = "lever_tests.rs"]
mod tests;
