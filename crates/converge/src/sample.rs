//! What was measured since the last look.

use std::time::Duration;

use crate::units::{Bytes, Pages};

/// What a migration measured since the previous sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Wall time since the previous sample.
    pub elapsed: Duration,
    /// The pass under way, from 1.
    pub pass: u32,
    /// Bytes that left for the destination since the previous sample, as the wire counts them.
    pub sent: Bytes,
    /// Pages that left with those bytes, in whatever encoding.
    pub sent_pages: Pages,
    /// Those of `sent` that left in passes after the first; zero where that is not known.
    pub resent: Bytes,
    /// Pages that left with `resent`.
    pub resent_pages: Pages,
    /// The part of `elapsed` in which there was nothing to send; zero where that is not known.
    pub idle: Duration,
    /// Pages still dirty: what would have to be sent if the guest stopped now.
    pub remaining: Pages,
    /// The part of downtime that does not depend on pages: stop, last sync, device state, round trips.
    pub fixed_downtime: Duration,
    /// What the dirty log gave, when it was read for this sample.
    pub harvest: Option<Harvest>,
}

/// One reading of the dirty log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Harvest {
    /// Wall time since the previous harvest.
    pub elapsed: Duration,
    /// Time for which the guest really ran since the previous harvest: wall time less what the throttle held back,
    /// the mean over all vCPUs.
    pub guest_ran: Duration,
    /// Distinct pages written since the previous harvest.
    pub dirtied: Pages,
    /// Those of `dirtied` that were not waiting to be sent already. QEMU counts only these.
    pub newly_dirty: Pages,
    /// `dirtied` by vCPU; empty where the dirty log cannot tell vCPUs apart.
    pub dirtied_by_vcpu: Vec<Pages>,
    /// Time for which each vCPU really ran since the previous harvest; empty where only the mean is known.
    pub guest_ran_by_vcpu: Vec<Duration>,
    /// Distinct pages over a longer window than one harvest; tells the working set from the rate.
    pub window: DirtyWindow,
    /// Whether this harvest ended a pass (the only kind that QEMU knew before 9.2).
    pub ended_pass: bool,
}

/// Distinct pages written since a moment in the past, over several harvests.
///
/// Together with the single harvest this says whether a guest keeps rewriting the same pages: one that does writes few
/// *distinct* pages in a long window, however fast it writes. Each harvest adds to the window; whoever keeps it begins it
/// anew about once a second of wall time, and the first harvest of a new window is then the whole of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirtyWindow {
    /// Guest run time that the window covers.
    pub guest_ran: Duration,
    /// Distinct pages written in it.
    pub distinct: Pages,
}
