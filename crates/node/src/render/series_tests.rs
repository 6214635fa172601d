use super::*;
use crate::render::samples;
use landfall_migrate::report::TimePoint;

fn wave(count: u32) -> Vec<Point> {
    (0..count)
        .map(|index| (f64::from(index) / 20.0, (f64::from(index) / 7.0).sin() + 1.0))
        .collect()
}

#[test]
fn a_short_line_is_not_thinned() {
    let line = wave(100);
    assert_eq!(thin(&line, 50), line);
}

#[test]
fn a_long_line_keeps_its_ends_its_peaks_and_its_order() {
    let mut line = wave(100_000);
    line[50_001].1 = 99.0;
    let thinned = thin(&line, 300);
    assert!(thinned.len() <= 1204, "{}", thinned.len());
    assert_eq!(thinned.first(), line.first());
    assert_eq!(thinned.last(), line.last());
    assert_eq!(highest(&thinned), 99.0);
    assert!(thinned.is_sorted_by(|one, other| one.0 <= other.0));
}

#[test]
fn points_that_all_lie_at_one_moment_are_kept() {
    assert_eq!(thin(&[(1.0, 1.0); 10], 2), [(1.0, 1.0); 10]);
    assert!(thin(&[], 10).is_empty());
}

#[test]
fn what_is_no_number_becomes_zero_and_what_has_no_time_is_left_out() {
    let mut report = samples::empty();
    let at = |at_ms, throttle| TimePoint { at_ms, throttle, ..TimePoint::default() };
    report.timeline = vec![at(20.0, f64::NAN), at(f64::NAN, 0.5), at(0.0, -1.0), at(10.0, 0.5)];
    assert_eq!(series(&report, |point| point.throttle), [(0.0, 0.0), (0.01, 0.5), (0.02, 0.0)]);
    report.total_ms = f64::INFINITY;
    assert_eq!(seconds(&report), 0.02);
}

#[test]
fn a_line_begins_where_the_migration_does() {
    let mut report = samples::empty();
    report.timeline = vec![TimePoint { at_ms: 50.0, throttle: 0.2, ..TimePoint::default() }];
    assert_eq!(series(&report, |point| point.throttle), [(0.0, 0.2), (0.05, 0.2)]);
}

#[test]
fn nothing_remains_once_the_guest_has_arrived() {
    assert_eq!(remaining(&samples::arrived()).last(), Some(&(3.094, 0.0)));
    assert!(remaining(&samples::gave_up()).last().is_some_and(|last| last.1 > 0.0));
}

#[test]
fn a_throttle_holds_until_the_next_one() {
    let held = steps(&[(0.0, 0.0), (1.0, 0.9), (2.0, 0.9)]);
    assert_eq!(held, [(0.0, 0.0), (1.0, 0.0), (1.0, 0.9), (2.0, 0.9)]);
}

#[test]
fn an_axis_has_the_unit_in_which_its_numbers_are_short() {
    assert_eq!(Unit::of_size(537e6).name, "MiB");
    assert_eq!(Unit::of_size(64e9).name, "GiB");
    assert_eq!(Unit::of_size(0.0).name, "KiB");
    assert_eq!(Unit::of_rate(1.02e9).name, "MB/s");
    assert_eq!(Unit::of_rate(12.5e9).name, "GB/s");
}

#[test]
fn the_marks_are_read_from_the_events() {
    let report = samples::arrived();
    assert_eq!(passes(&report), [(1.1, 2), (2.2, 3)]);
    assert_eq!(switchovers(&report), [2.86]);
}
