//! QEMU's rule since 2.5: throttle a little, and more after every two bad periods.

use serde::{Deserialize, Serialize};

use crate::units::Throttle;

/// The parameters of [`crate::Policy::Stepped`], by default QEMU's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SteppedParameters {
    /// The first throttle (`cpu-throttle-initial`); 20 %.
    pub initial: Throttle,
    /// What each further step adds (`cpu-throttle-increment`); 10 points.
    pub increment: Throttle,
    /// The last step (`max-cpu-throttle`); 99 %.
    pub max: Throttle,
    /// A period is bad when more than this share of the bytes sent was dirtied anew (`throttle-trigger-threshold`); 0.5.
    pub trigger_threshold: f64,
}

impl Default for SteppedParameters {
    fn default() -> Self {
        Self {
            initial: Throttle::new(0.2),
            increment: Throttle::new(0.1),
            max: Throttle::MAX,
            trigger_threshold: 0.5,
        }
    }
}
