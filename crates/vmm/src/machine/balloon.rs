//! How much memory the guest of a machine keeps.

use std::time::Duration;

use landfall_converge::Bytes;
use landfall_qmp::BalloonStatistics;

use super::{Vm, VmError};
use crate::devices::Ballooning;

/// A guest that runs answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

impl Vm {
    fn ballooning(&self) -> Result<&Ballooning, VmError> {
        self.board.ballooning().ok_or(VmError::NoBalloon)
    }

    /// What the guest has of its memory, without what it has given up.
    ///
    /// # Errors
    /// When it cannot be asked for any.
    pub fn kept_memory(&self) -> Result<Bytes, VmError> {
        Ok(self.ballooning()?.kept())
    }

    /// Asks the guest to keep no more than `size`, which it does as it can; all of it where that is more than it has.
    ///
    /// # Errors
    /// When it cannot be asked, or a migration holds it.
    pub fn ask_to_keep(&self, size: Bytes) -> Result<(), VmError> {
        let ballooning = self.ballooning()?;
        // Kept until the guest is told: what is asked for and the interrupt that tells it travel together.
        let intent = self.intent();
        if intent.held {
            return Err(VmError::Held);
        }
        if ballooning.ask_to_keep(size) {
            self.board.ballooning_changed();
        }
        Ok(())
    }

    /// What the guest says of its memory.
    ///
    /// # Errors
    /// When it cannot be asked, or does not answer.
    pub fn balloon_statistics(&self) -> Result<BalloonStatistics, VmError> {
        self.ballooning()?;
        self.board.balloon_statistics(PATIENCE).ok_or(VmError::NoStatistics)
    }
}
