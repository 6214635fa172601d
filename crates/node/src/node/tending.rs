//! Looking after the machines.

use std::time::Duration;

use super::{Node, NodeError};
use crate::ownership::Holding;

/// How often guests that come in are looked at.
const INCOMING: Duration = Duration::from_millis(100);
/// Of how many looks at what comes in one is at everything.
const EVERYTHING: u32 = 10;

impl Node {
    /// Looks after the machines until [`Node::leave`].
    pub fn tend(&self) {
        self.spawn("tending".to_owned(), |node| {
            let mut round = 0;
            while !node.is_leaving() {
                if let Err(error) = node.tend_once(round % EVERYTHING == 0)
                    && !node.is_leaving()
                {
                    tracing::warn!("the machines could not be looked after: {error}");
                }
                round += 1;
                node.0.slots.wait(INCOMING);
            }
        });
    }

    /// Looks at the guests that come in, and if `all` at every machine.
    pub(super) fn tend_once(&self, all: bool) -> Result<(), NodeError> {
        self.tend_incoming(all)?;
        if all {
            for record in self.0.store.vms()? {
                // One that is on its way out is watched by whoever sends it.
                if matches!(record.ownership.holding, Holding::Here { .. }) {
                    self.look(&record);
                }
            }
        }
        Ok(())
    }
}
