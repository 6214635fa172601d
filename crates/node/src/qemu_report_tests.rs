use std::time::Duration;

use landfall_converge::{ByteRate, Bytes, Throttle};
use landfall_pilot::{Change, Point};

use super::*;

fn bill(outcome: Ended) -> Bill {
    Bill {
        outcome,
        reason: None,
        total: Duration::from_secs(4),
        downtime: Duration::from_millis(110),
        downtime_limit: Duration::from_millis(300),
        passes: 6,
        memory: Bytes(512 << 20),
        sent: Bytes(400 << 20),
        pages: 100_000,
        zero_pages: 98_000,
        max_throttle: Throttle::new(0.95),
        stolen: Duration::from_secs(1),
        verdict: None,
        dirty_rate: ByteRate::new(820e6),
        bandwidth: ByteRate::new(100e6),
        timeline: vec![Point {
            at: Duration::from_secs(3),
            pass: 5,
            remaining: Bytes(20_000_000),
            dirty_rate: ByteRate::new(60e6),
            bandwidth: ByteRate::new(125e6),
            throttle: Throttle::new(0.95),
        }],
        changes: vec![Change {
            at: Duration::from_secs(1),
            throttle: Throttle::new(0.95),
            reason: "it outruns the link".to_owned(),
        }],
    }
}

#[test]
fn a_bill_is_told_in_the_words_of_every_other_migration() {
    let report = report(&bill(Ended::Completed), true).unwrap();
    assert_eq!(report.machine, MachineKind::Qemu);
    assert_eq!(report.outcome, Outcome::Completed);
    assert_eq!((report.total_ms, report.downtime_ms, report.stolen_ms), (4000.0, 110.0, 1000.0));
    assert_eq!(report.guest_time_share_stolen, 0.25);
    assert_eq!(report.max_stall_ms.round(), 190.0);
    assert_eq!(report.predicted_downtime_ms, 200.0);
    assert_eq!(report.timeline.len(), 1);
    assert!(
        matches!(&report.events[0].kind, EventKind::Throttle { throttle, .. } if *throttle == 0.95)
    );
    assert_eq!(serde_json::to_value(&report).unwrap()["machine"], "qemu");
}

#[test]
fn every_end_has_its_outcome_and_one_that_goes_on_has_none() {
    for (ended, outcome) in [
        (Ended::GaveUp, Outcome::GaveUp),
        (Ended::Cancelled, Outcome::Cancelled),
        (Ended::Failed, Outcome::Failed),
        (Ended::InDoubt, Outcome::InDoubt),
    ] {
        let report = report(&bill(ended), true).unwrap();
        assert_eq!(report.outcome, outcome);
        assert_eq!(report.predicted_downtime_ms, 0.0, "there was no switchover");
    }
    assert!(report(&bill(Ended::Detached), true).is_none());
}

#[test]
fn without_auto_converge_the_policy_is_off() {
    let report = report(&bill(Ended::GaveUp), false).unwrap();
    assert_eq!((report.policy, report.auto_converge), (landfall_converge::Policy::Off, false));
}
