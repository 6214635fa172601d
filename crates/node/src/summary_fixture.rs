//! Reports for tests.

use landfall_converge::{ByteRate, Policy, Throttle, Verdict, VerdictState};
use landfall_migrate::machine::MachineKind;
use landfall_migrate::report::{DowntimeParts, Outcome, PageCounts, Report};

pub(crate) fn completed() -> Report {
    Report {
        outcome: Outcome::Completed,
        reason: None,
        machine: MachineKind::Kvm,
        policy: Policy::Adaptive,
        auto_converge: true,
        hand_over: false,
        total_ms: 2310.0,
        downtime_ms: 212.0,
        predicted_downtime_ms: 220.0,
        downtime_limit_ms: 300.0,
        downtime_parts_ms: DowntimeParts::default(),
        passes: 4,
        channels: 1,
        memory_bytes: 512 << 20,
        sent_bytes: 288 << 20,
        pages: PageCounts { zero: 61_072, raw: 70_000, delta: 0, compressed: 0 },
        bandwidth_bytes_per_second: 125e6,
        dirty_rate_bytes_per_second: 1.04e9,
        max_throttle: 0.89,
        stolen_ms: 914.0,
        guest_time_share_stolen: 0.396,
        max_stall_ms: 9.9,
        verdict: None,
        integrity: "ok".into(),
        timeline: Vec::new(),
        events: Vec::new(),
    }
}

pub(crate) fn gave_up() -> Report {
    Report {
        outcome: Outcome::GaveUp,
        reason: Some("the time limit of 10.0 s has passed".into()),
        policy: Policy::Off,
        auto_converge: false,
        total_ms: 10_004.0,
        downtime_ms: 0.0,
        max_throttle: 0.0,
        stolen_ms: 0.0,
        max_stall_ms: 0.0,
        verdict: Some(Verdict {
            state: VerdictState::NeedsThrottle,
            text: "the guest dirties more than the link carries".into(),
            needed_throttle: Throttle::new(0.89),
            unthrottled_dirty_rate: ByteRate::new(1.04e9),
            bandwidth: ByteRate::new(125e6),
        }),
        ..completed()
    }
}
