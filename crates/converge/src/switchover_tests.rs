use super::*;
use crate::predict::{Load, Pattern};

const MIB: f64 = 256.0;

/// A guest that rewrites 128 MiB, of which 110 MiB fit into the downtime.
fn outlook(remaining: f64, rate: f64) -> Outlook {
    let load = |pattern| Load { rate: rate * MIB, working_set: Some(128.0 * MIB), pattern };
    Outlook {
        remaining: remaining * MIB,
        target: 110.0 * MIB,
        fits: 110.0 * MIB,
        lag: 0.0,
        bandwidth: 400.0 * MIB,
        cautious: load(Pattern::Sweep),
        hopeful: load(Pattern::Random),
        patience: 10.0,
    }
}

/// What remains when it goes, in MiB, of a guest that writes `rate` MiB a second.
fn goes_at(rate: f64, remaining: &[f64]) -> Option<f64> {
    let mut switchover = Switchover::default();
    let looks = remaining.iter().zip(1_u32..);
    let mut goes = looks.filter(|(remaining, look)| {
        switchover.is_now(&outlook(**remaining, rate), Duration::from_millis(50) * *look, false)
    });
    goes.next().map(|(remaining, _)| *remaining)
}

#[test]
fn past_the_lowest_point_of_a_sweep_it_does_not_wait_for_the_next() {
    assert_eq!(goes_at(600.0, &[128.0, 105.0, 85.0, 75.0, 70.0, 82.0]), Some(70.0));
    assert_eq!(goes_at(600.0, &[400.0, 20.0, 29.0, 38.0, 47.0]), Some(29.0));
}

#[test]
fn a_high_point_of_a_sweep_is_not_where_it_goes() {
    assert_eq!(goes_at(600.0, &[400.0, 95.0, 104.0, 109.0]), None);
}

#[test]
fn what_was_missed_once_is_followed_as_long_as_it_falls_and_cannot_be_missed_again() {
    assert_eq!(goes_at(600.0, &[95.0, 109.0, 120.0, 98.0, 80.0, 81.0]), Some(81.0));
    assert_eq!(goes_at(600.0, &[95.0, 109.0, 120.0, 105.0]), Some(105.0));
}

#[test]
fn a_guest_that_the_link_outruns_is_waited_for_until_it_falls_no_more() {
    assert_eq!(goes_at(100.0, &[100.0, 60.0, 30.0, 32.0, 10.0, 5.0, 6.0, 5.0]), Some(5.0));
    assert_eq!(goes_at(100.0, &[100.0, 60.0, 0.5]), Some(0.5));
}

#[test]
fn a_difference_that_leaves_in_no_time_is_not_waited_for() {
    assert_eq!(goes_at(20.0, &[8.0, 4.0, 4.6, 4.7, 4.0]), Some(4.7));
    assert_eq!(goes_at(20.0, &[80.0, 40.0, 46.0, 47.0, 40.0]), Some(40.0));
}

#[test]
fn nobody_is_waited_with_for_ever() {
    assert_eq!(goes_at(600.0, &[100.0; 20]), Some(100.0));
}
