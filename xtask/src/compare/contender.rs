//! Who moves the guest.

use clap::ValueEnum;
use landfall_converge::Policy;
use serde::Serialize;

/// What runs the guest and moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Qemu,
    Landfall,
}

/// An engine, and by what it makes the guest arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contender {
    /// QEMU, as it is when nothing is set.
    QemuOff,
    /// QEMU with auto-converge, its parameters as QEMU ships them.
    QemuAutoConverge,
    /// QEMU with auto-converge, steered by `landfall pilot`.
    Pilot,
    /// QEMU with xbzrle: deltas of pages sent again.
    QemuXbzrle,
    /// Landfall without auto-converge.
    LandfallOff,
    /// Landfall with QEMU's rule of 2013.
    Classic,
    /// Landfall with QEMU's rule since 2.5.
    Stepped,
    /// Landfall with its own rule.
    Adaptive,
}

impl Contender {
    pub(super) const ALL: [Self; 8] = [
        Self::QemuOff,
        Self::QemuAutoConverge,
        Self::Pilot,
        Self::QemuXbzrle,
        Self::LandfallOff,
        Self::Classic,
        Self::Stepped,
        Self::Adaptive,
    ];

    pub(super) fn engine(self) -> Engine {
        match self {
            Self::QemuOff | Self::QemuAutoConverge | Self::Pilot | Self::QemuXbzrle => Engine::Qemu,
            Self::LandfallOff | Self::Classic | Self::Stepped | Self::Adaptive => Engine::Landfall,
        }
    }

    /// The rule by which it throttles; `None` where the simulator has no model of what it does.
    pub(super) fn policy(self) -> Option<Policy> {
        match self {
            Self::QemuOff | Self::LandfallOff => Some(Policy::Off),
            Self::QemuAutoConverge | Self::Stepped => Some(Policy::Stepped),
            Self::QemuXbzrle | Self::Pilot => None,
            Self::Classic => Some(Policy::Classic),
            Self::Adaptive => Some(Policy::Adaptive),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::QemuOff => "qemu-off",
            Self::QemuAutoConverge => "qemu-auto-converge",
            Self::Pilot => "pilot",
            Self::QemuXbzrle => "qemu-xbzrle",
            Self::LandfallOff => "landfall-off",
            Self::Classic => "classic",
            Self::Stepped => "stepped",
            Self::Adaptive => "adaptive",
        }
    }
}
