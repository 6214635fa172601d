//! A guest that outruns its link arrives only when it is held back.

use std::time::Duration;

use landfall_migrate::report::Outcome;

use crate::machine::{How, NARROW};
use crate::pair::{
    BUSY, Pair, assert_arrived, assert_completed, assert_ended, assert_switched_over_in_time,
};

#[test]
fn off_it_gives_up_and_names_both_rates_and_on_it_arrives() {
    let mut pair = Pair::of(BUSY);
    let destination = pair.destination();
    let time_limit = Some(Duration::from_secs(2));
    let off = How { auto_converge: false, time_limit, ..NARROW };
    pair.source.migrate(destination.uri(), &off);
    let report = pair.source.report();
    assert_ended(&report, Outcome::GaveUp, "time limit");
    assert_eq!((report.stolen_ms, report.auto_converge), (0.0, false));
    let verdict = report.verdict.unwrap();
    assert_eq!(verdict.text.matches("B/s").count(), 2, "{}", verdict.text);
    assert!(!verdict.needed_throttle.is_none(), "{verdict:?}");
    pair.source.assert_runs();

    let mut destination = pair.destination();
    pair.source.migrate(destination.uri(), &NARROW);
    let report = pair.source.report();
    assert_completed(&report);
    assert!(report.stolen_ms > 0.0, "{report:?}");
    assert_eq!(report.downtime_limit_ms, 300.0);
    assert_switched_over_in_time(&report);
    pair.source.assert_stands_still();
    assert_arrived(&mut destination.machine);
}
