use landfall_qmp::MigrationStatus;

use super::*;

/// What QEMU tells, in its own units: pages, and bytes.
fn told(ms: u64, syncs: u64, rate: u64, normal: u64, zero: u64, throttle: u64) -> MigrationInfo {
    MigrationInfo {
        status: MigrationStatus::Active,
        total_time: Some(ms),
        cpu_throttle_percentage: Some(throttle).filter(|percent| *percent > 0),
        ram: Some(RamStats {
            transferred: normal * 4096 + zero * 9,
            remaining: 1000 * 4096,
            total: 1 << 29,
            duplicate: zero,
            normal,
            normal_bytes: normal * 4096,
            dirty_pages_rate: rate,
            dirty_sync_count: syncs,
            page_size: 4096,
            ..RamStats::default()
        }),
        ..MigrationInfo::default()
    }
}

#[test]
fn bytes_are_those_of_the_wire_and_zero_pages_count_as_pages() {
    let mut readings = Readings::default();
    assert!(readings.observe(&told(100, 1, 0, 0, 0, 0)).is_none());
    let sample = readings.observe(&told(200, 1, 0, 100, 5000, 0)).unwrap();
    assert_eq!(sample.elapsed, Duration::from_millis(100));
    assert_eq!(sample.sent, Bytes(100 * 4096 + 5000 * 9));
    assert_eq!(sample.sent_pages, Pages(5100));
    assert_eq!(sample.remaining, Pages(1000));
    assert!(sample.harvest.is_none(), "before the first pass ends there is no dirty rate");
}

#[test]
fn a_period_is_closed_when_the_rate_changes_and_then_only() {
    let mut readings = Readings::default();
    readings.observe(&told(0, 1, 0, 0, 0, 0));
    assert!(readings.observe(&told(700, 1, 0, 100, 0, 0)).unwrap().harvest.is_none());
    let harvest = readings.observe(&told(1500, 2, 2000, 200, 0, 0)).unwrap().harvest.unwrap();
    assert_eq!(harvest.elapsed, Duration::from_millis(1500));
    assert_eq!(harvest.dirtied, Pages(3000));
    assert_eq!(harvest.guest_ran, harvest.elapsed);
    // A sync within a second of it closes nothing: the rate that stands there is the old one.
    assert!(readings.observe(&told(2200, 3, 2000, 300, 0, 0)).unwrap().harvest.is_none());
    let harvest = readings.observe(&told(3000, 4, 2500, 400, 0, 0)).unwrap().harvest.unwrap();
    assert_eq!(harvest.dirtied, Pages(3750));
}

#[test]
fn a_guest_that_dirties_as_much_in_every_period_is_seen_each_time() {
    let mut readings = Readings::default();
    readings.observe(&told(0, 1, 0, 0, 0, 0));
    for pass in 1..5 {
        let info = told(1100 * pass, pass + 1, 30_000, 33_000 * pass, 0, 0);
        assert_eq!(readings.observe(&info).unwrap().harvest.unwrap().dirtied, Pages(33_000));
    }
}

#[test]
fn a_guest_ran_as_it_was_held_when_the_period_began() {
    let mut readings = Readings::default();
    readings.observe(&told(0, 1, 0, 0, 0, 0));
    // The throttle moved in the moment in which the period was closed: it had not been in force.
    let harvest = readings.observe(&told(1000, 2, 100, 10, 0, 95)).unwrap().harvest.unwrap();
    assert_eq!(harvest.guest_ran, harvest.elapsed);
    let harvest = readings.observe(&told(2000, 3, 50, 20, 0, 95)).unwrap().harvest.unwrap();
    assert_eq!(harvest.guest_ran, Duration::from_millis(50));
}

#[test]
fn pages_of_another_size_are_counted_in_those_of_the_controller() {
    let mut readings = Readings::default();
    let big = |ms, rate| {
        let mut info = told(ms, if rate > 0 { 2 } else { 1 }, rate, 0, 0, 0);
        info.ram.as_mut().unwrap().page_size = 65536;
        info
    };
    readings.observe(&big(0, 0));
    let harvest = readings.observe(&big(1000, 100)).unwrap().harvest.unwrap();
    assert_eq!(harvest.dirtied, Pages(1600));
}

#[test]
fn an_answer_without_counters_or_without_news_is_no_sample() {
    let mut readings = Readings::default();
    let setup = MigrationInfo { status: MigrationStatus::Setup, ..MigrationInfo::default() };
    assert!(readings.observe(&setup).is_none());
    assert!(readings.observe(&told(100, 1, 0, 0, 0, 0)).is_none());
    assert!(readings.observe(&told(100, 1, 0, 0, 0, 0)).is_none());
}
