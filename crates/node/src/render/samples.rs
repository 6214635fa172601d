//! Reports to draw in tests.

use std::time::Duration;

use landfall_converge::{ByteRate, Policy, Throttle, Verdict, VerdictState};
use landfall_migrate::machine::MachineKind;
use landfall_migrate::progress::Phase;
use landfall_migrate::report::{
    DowntimeParts, EventKind, Outcome, PageCounts, Report, TimeLineEvent, TimePoint,
};

const MEMORY: u64 = 512 << 20;
const SET: f64 = (128 << 20) as f64;

/// A report in which nothing happened.
pub(crate) fn empty() -> Report {
    Report {
        outcome: Outcome::Failed,
        reason: None,
        machine: MachineKind::Synthetic,
        policy: Policy::Adaptive,
        auto_converge: true,
        hand_over: false,
        total_ms: 0.0,
        downtime_ms: 0.0,
        predicted_downtime_ms: 0.0,
        downtime_limit_ms: 0.0,
        downtime_parts_ms: DowntimeParts::default(),
        passes: 0,
        channels: 1,
        memory_bytes: 0,
        sent_bytes: 0,
        pages: PageCounts::default(),
        bandwidth_bytes_per_second: 0.0,
        dirty_rate_bytes_per_second: 0.0,
        max_throttle: 0.0,
        stolen_ms: 0.0,
        guest_time_share_stolen: 0.0,
        max_stall_ms: 0.0,
        verdict: None,
        integrity: "not_checked".to_owned(),
        timeline: Vec::new(),
        events: Vec::new(),
    }
}

fn whole(bytes: f64) -> u64 {
    ByteRate::new(bytes).over(Duration::from_secs(1)).0
}

fn verdict(state: VerdictState, text: &str, needed: f64) -> Verdict {
    Verdict {
        state,
        text: text.to_owned(),
        needed_throttle: Throttle::new(needed),
        unthrottled_dirty_rate: ByteRate::new(1.02e9),
        bandwidth: ByteRate::new(125e6),
    }
}

fn event(at_ms: f64, kind: EventKind) -> TimeLineEvent {
    TimeLineEvent { at_ms, kind }
}

/// A guest that sweeps 128 MiB faster than the link carries it, never throttled: it gives up after 12 s.
pub(crate) fn gave_up() -> Report {
    let point = |index: u32| {
        let at = f64::from(index) * 0.05;
        let first = (1.0 - at / 1.1).max(0.0);
        TimePoint {
            at_ms: at * 1000.0,
            pass: if at < 1.1 { 1 } else { 2 + index / 22 },
            remaining_bytes: whole(
                SET * (1.0 - f64::from(index % 20) / 900.0) + first * 0.3 * MEMORY as f64,
            ),
            dirty_rate_bytes_per_second: 1.02e9 + 2e7 * (at * 3.0).sin(),
            bandwidth_bytes_per_second: 124e6 + 2e6 * (at * 7.0).cos(),
            throttle: 0.0,
        }
    };
    let text = "the guest dirties 1.02 GB/s, the link carries 125 MB/s: it cannot arrive without a throttle of 91 %";
    let mut events = vec![
        event(0.0, EventKind::Phase { phase: Phase::Connecting }),
        event(4.0, EventKind::Phase { phase: Phase::FirstPass }),
        event(
            250.0,
            EventKind::Verdict { verdict: verdict(VerdictState::CannotConverge, text, 0.91) },
        ),
    ];
    events.extend(
        (2..=11).map(|pass| event(1100.0 + f64::from(pass - 2) * 1070.0, EventKind::Pass { pass })),
    );
    Report {
        outcome: Outcome::GaveUp,
        reason: Some("the time limit of 12.0 s has passed".to_owned()),
        machine: MachineKind::Kvm,
        policy: Policy::Off,
        auto_converge: false,
        total_ms: 12_013.0,
        downtime_limit_ms: 300.0,
        passes: 11,
        channels: 1,
        memory_bytes: MEMORY,
        sent_bytes: 1_501_000_000,
        pages: PageCounts { zero: 98_304, raw: 366_456, delta: 0, compressed: 0 },
        bandwidth_bytes_per_second: 124.8e6,
        dirty_rate_bytes_per_second: 1.02e9,
        verdict: Some(verdict(VerdictState::CannotConverge, text, 0.91)),
        timeline: (0..240).map(point).collect(),
        events,
        ..empty()
    }
}

/// The same guest with auto-converge: it arrives in 3.1 s.
pub(crate) fn arrived() -> Report {
    let point = |index: u32| {
        let at = f64::from(index) * 0.05;
        let throttle = if at < 0.4 { 0.0 } else { 0.97 };
        let remaining = if at < 1.1 {
            SET + (1.1 - at) / 1.1 * 0.3 * MEMORY as f64
        } else {
            SET - (at - 1.1) / 1.75 * SET * 0.75
        };
        TimePoint {
            at_ms: at * 1000.0,
            pass: if at < 1.1 {
                1
            } else if at < 2.2 {
                2
            } else {
                3
            },
            remaining_bytes: whole(remaining),
            dirty_rate_bytes_per_second: 1.02e9 * (1.0 - throttle),
            bandwidth_bytes_per_second: 124e6 + 2e6 * (at * 7.0).cos(),
            throttle,
        }
    };
    let text = "the guest dirties 1.02 GB/s, the link carries 125 MB/s: it arrives with a throttle of 97 % in 2.4 s";
    let reason = "a throttle of 97 % costs the guest least: 2.3 s of its time; 88 % is the least that can work";
    Report {
        outcome: Outcome::Completed,
        machine: MachineKind::Kvm,
        total_ms: 3_094.0,
        downtime_ms: 231.4,
        predicted_downtime_ms: 244.0,
        downtime_limit_ms: 300.0,
        downtime_parts_ms: DowntimeParts {
            stop: 1.2,
            last_sync: 3.9,
            last_pages: 214.8,
            device_state: 6.2,
            commit: 2.8,
            resume: 2.5,
        },
        passes: 3,
        channels: 1,
        memory_bytes: MEMORY,
        sent_bytes: 386_000_000,
        pages: PageCounts { zero: 98_304, raw: 94_230, delta: 0, compressed: 0 },
        bandwidth_bytes_per_second: 124.6e6,
        dirty_rate_bytes_per_second: 1.02e9,
        max_throttle: 0.97,
        stolen_ms: 2_328.0,
        guest_time_share_stolen: 0.752,
        max_stall_ms: 10.3,
        verdict: Some(verdict(VerdictState::NeedsThrottle, text, 0.88)),
        integrity: "ok".to_owned(),
        timeline: (0..58).map(point).collect(),
        events: vec![
            event(0.0, EventKind::Phase { phase: Phase::Connecting }),
            event(4.0, EventKind::Phase { phase: Phase::FirstPass }),
            event(
                250.0,
                EventKind::Verdict { verdict: verdict(VerdictState::NeedsThrottle, text, 0.88) },
            ),
            event(400.0, EventKind::Throttle { throttle: 0.97, reason: reason.to_owned() }),
            event(1_100.0, EventKind::Pass { pass: 2 }),
            event(2_200.0, EventKind::Pass { pass: 3 }),
            event(2_860.0, EventKind::Phase { phase: Phase::Switchover }),
            event(3_091.0, EventKind::Phase { phase: Phase::Committed }),
        ],
        ..empty()
    }
}
