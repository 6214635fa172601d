//! A guest that arrives by itself is never throttled.

use crate::machine::{How, NARROW};
use crate::pair::{Guest, Pair, assert_arrived, assert_completed, assert_switched_over_in_time};

#[test]
fn ten_migrations_in_a_row_steal_nothing() {
    let mut pair = Pair::of(Guest {
        probe: "sweep,working-set=32MiB,rate=30MB/s",
        memory: "64MiB",
        cpus: "1",
    });
    let how = How { bandwidth: 125_000_000, ..NARROW };
    for round in 1..=10 {
        let mut destination = pair.destination();
        pair.source.migrate(destination.uri(), &how);
        let report = pair.source.report();
        assert_completed(&report);
        assert_eq!((report.stolen_ms, report.max_throttle), (0.0, 0.0), "round {round}");
        assert_switched_over_in_time(&report);
        assert_arrived(&mut destination.machine);
        pair.source = destination.machine;
    }
}
