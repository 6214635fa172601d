//! Capabilities of a migration: what may be switched on, by QEMU's names.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::error::QmpError;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A capability that QEMU knows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Capability { $($(#[$doc])* #[serde(rename = $name)] $variant,)* }

        impl Capability {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name over QMP.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

capabilities! {
    /// Deltas of pages sent again.
    Xbzrle = "xbzrle",
    /// Pin all memory at once for RDMA.
    RdmaPinAll = "rdma-pin-all",
    /// Throttle the guest where the migration would not converge.
    AutoConverge = "auto-converge",
    /// Send the events `MIGRATION` and `MIGRATION_PASS`.
    Events = "events",
    /// Run at the destination before all memory is there.
    PostcopyRam = "postcopy-ram",
    /// Lock-step replication.
    XColo = "x-colo",
    /// Free pages at the source as post-copy sends them.
    ReleaseRam = "release-ram",
    /// A channel back from the destination.
    ReturnPath = "return-path",
    /// Stop before the switchover until told to go on.
    PauseBeforeSwitchover = "pause-before-switchover",
    /// Several channels.
    Multifd = "multifd",
    /// Migrate dirty bitmaps of disks.
    DirtyBitmaps = "dirty-bitmaps",
    /// Measure how long vCPUs wait for pages in post-copy.
    PostcopyBlocktime = "postcopy-blocktime",
    /// Take disk locks late at the destination.
    LateBlockActivate = "late-block-activate",
    /// Leave shared memory out.
    XIgnoreShared = "x-ignore-shared",
    /// Refuse a machine of another UUID.
    ValidateUuid = "validate-uuid",
    /// A snapshot of the moment at which it began.
    BackgroundSnapshot = "background-snapshot",
    /// Send without copying.
    ZeroCopySend = "zero-copy-send",
    /// A channel of its own for pages that a vCPU waits for.
    PostcopyPreempt = "postcopy-preempt",
    /// The destination must agree to the switchover.
    SwitchoverAck = "switchover-ack",
    /// A cap on the dirty rate of each vCPU.
    DirtyLimit = "dirty-limit",
    /// Every page has its place in the file.
    MappedRam = "mapped-ram",
}

/// A capability and whether it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityState {
    /// Which.
    pub capability: Capability,
    /// Whether it is on.
    pub state: bool,
}

impl CapabilityState {
    /// Reads the argument `capabilities` of `migrate-set-capabilities`.
    pub(crate) fn parse_list(items: Vec<Value>) -> Result<Vec<Self>, QmpError> {
        let names: Vec<_> = Capability::ALL.iter().map(|each| (each.name(), *each)).collect();
        let parse = |item| {
            let Value::Object(members) = item else {
                return Err(QmpError::generic(
                    "Invalid parameter type for 'capabilities', expected: array of objects",
                ));
            };
            let mut arguments = Arguments::new(members);
            let capability = arguments.choice("capability", &names)?;
            let state = arguments.boolean("state")?;
            arguments.finish()?;
            Ok(Self {
                capability: Arguments::required("capability", capability)?,
                state: Arguments::required("state", state)?,
            })
        };
        items.into_iter().map(parse).collect()
    }
}

/// What is on in a Landfall machine. Everything is off at first, as in QEMU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Throttle the guest where the migration would not converge.
    pub auto_converge: bool,
    /// Several channels.
    pub multifd: bool,
    /// Send the events `MIGRATION` and `MIGRATION_PASS`.
    pub events: bool,
}

impl Capabilities {
    /// These with `changes` made: all of them, or none when one is refused.
    ///
    /// # Errors
    /// When a capability is to be switched on that a Landfall machine does not have.
    pub fn with(mut self, changes: &[CapabilityState]) -> Result<Self, QmpError> {
        for change in changes {
            match (change.capability, change.state) {
                (Capability::AutoConverge, state) => self.auto_converge = state,
                (Capability::Multifd, state) => self.multifd = state,
                (Capability::Events, state) => self.events = state,
                (_, false) => {}
                (missing, true) => {
                    return Err(QmpError::generic(format!(
                        "Capability '{}' is not available in this machine; leave it off",
                        missing.name()
                    )));
                }
            }
        }
        Ok(self)
    }

    /// The answer to `query-migrate-capabilities`: what this machine has, not all that QEMU knows, because clients take
    /// a name in this list as support.
    #[must_use]
    pub fn states(self) -> Vec<CapabilityState> {
        let state = |capability, state| CapabilityState { capability, state };
        vec![
            state(Capability::AutoConverge, self.auto_converge),
            state(Capability::Events, self.events),
            state(Capability::Multifd, self.multifd),
        ]
    }
}

#[cfg(test)]
#[path = "capability_tests.rs"]
mod tests;
