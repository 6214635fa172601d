//! What a monitor answers when it cannot do what it was asked for.

use serde::{Deserialize, Serialize};

/// The error class of a reply. QEMU tells programs apart by these few; everything else is in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorClass {
    /// Anything that has no class of its own.
    #[default]
    GenericError,
    /// The command is unknown, or not allowed in this mode of the session.
    CommandNotFound,
    /// The device cannot be found or is not active.
    DeviceNotActive,
    /// The device is not there.
    DeviceNotFound,
    /// The KVM side lacks a feature.
    #[serde(rename = "KVMMissingCap")]
    KvmMissingCap,
}

/// An error as it stands in a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{desc}")]
pub struct QmpError {
    /// What programs look at.
    pub class: ErrorClass,
    /// What people read.
    pub desc: String,
}

impl QmpError {
    /// An error without a class of its own.
    #[must_use]
    pub fn generic(desc: impl Into<String>) -> Self {
        Self { class: ErrorClass::GenericError, desc: desc.into() }
    }

    /// A device that this needs is not there, or nobody uses it.
    #[must_use]
    pub fn device_not_active(desc: impl Into<String>) -> Self {
        Self { class: ErrorClass::DeviceNotActive, desc: desc.into() }
    }

    /// The command is not there, or not now.
    #[must_use]
    pub fn command_not_found(desc: impl Into<String>) -> Self {
        Self { class: ErrorClass::CommandNotFound, desc: desc.into() }
    }
}
