//! Asks the guest for memory, and tells how much it keeps.

use landfall_converge::Bytes;
use landfall_qmp::{BalloonInfo, EventKind, QmpError};
use serde_json::{Value, json};

use super::{Monitor, failed, reply};
use crate::machine::VmError;

/// As QEMU has it, where programs look at the class of an error.
fn refused(error: VmError) -> QmpError {
    match error {
        VmError::NoBalloon => QmpError::device_not_active(error.to_string()),
        other => failed(other),
    }
}

impl Monitor {
    pub(super) fn balloon(&self, value: u64) -> Result<Value, QmpError> {
        self.vm()?.ask_to_keep(Bytes(value)).map_err(refused)?;
        Ok(json!({}))
    }

    pub(super) fn query_balloon(&self) -> Result<Value, QmpError> {
        let kept = self.vm()?.kept_memory().map_err(refused)?;
        reply(&BalloonInfo { actual: kept.0 })
    }

    pub(super) fn query_balloon_stats(&self) -> Result<Value, QmpError> {
        reply(&self.vm()?.balloon_statistics().map_err(refused)?)
    }

    /// The guest keeps more or less memory than before.
    pub(super) fn balloon_changed(&self) {
        if let Ok(kept) = self.vm().and_then(|vm| vm.kept_memory().map_err(refused)) {
            self.emit(&EventKind::BalloonChange { actual: kept.0 });
        }
    }
}
