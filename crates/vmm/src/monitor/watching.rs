//! Hears from the machine what happens to it of itself.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Monitor;
use crate::machine::VmEvent;

/// A guest that gives memory up says so for each MiB of it; clients hear of it once in this time, as from QEMU.
const BALLOON_INTERVAL: Duration = Duration::from_secs(1);

impl Monitor {
    /// Tells others what happens to the machine, until there is none any more.
    pub fn watch(&self, events: &Receiver<VmEvent>) {
        let mut untold = false;
        let mut next = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let event = if untold {
                events.recv_timeout(wait)
            } else {
                events.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match event {
                Ok(VmEvent::Ended(how)) => self.guest_ended(how),
                Ok(VmEvent::BalloonChanged) => untold = true,
                Err(RecvTimeoutError::Timeout) => {
                    self.balloon_changed();
                    (untold, next) = (false, Instant::now() + BALLOON_INTERVAL);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
