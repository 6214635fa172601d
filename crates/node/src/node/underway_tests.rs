use super::{MOST_POINTS, UnderWay};
use crate::machines::Wish;
use crate::model::{Progress, Settings};

fn seen(elapsed_ms: f64, bandwidth_bytes_per_second: f64) -> Progress {
    Progress { elapsed_ms, bandwidth_bytes_per_second, ..Progress::default() }
}

#[test]
fn a_time_line_begins_when_something_was_measured() {
    let mut under_way = UnderWay::default();
    for (at, bandwidth) in [(0.0, 0.0), (100.0, 0.0), (200.0, 6e7), (300.0, 0.0)] {
        under_way.see(seen(at, bandwidth));
    }
    let at: Vec<_> = under_way.points().iter().map(|point| point.at_ms).collect();
    assert_eq!(at, [200.0, 300.0]);
    assert_eq!(under_way.progress.map(|progress| progress.elapsed_ms), Some(300.0));
}

#[test]
fn a_long_time_line_is_thinned_and_keeps_its_beginning() {
    let mut under_way = UnderWay::default();
    for at in 0..MOST_POINTS * 5 {
        under_way.see(seen(at as f64, 1e6));
    }
    let points = under_way.points();
    assert!(points.len() < MOST_POINTS && points.len() > MOST_POINTS / 4, "{}", points.len());
    assert!(points[0].at_ms == 0.0);
    assert!(points.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
}

#[test]
fn a_change_is_told_once_and_a_cancellation_again_and_again() {
    let mut under_way = UnderWay::default();
    under_way.adjust(Settings::default());
    assert_eq!(under_way.wish(), Wish::Adjust(Settings::default()));
    assert_eq!(under_way.wish(), Wish::GoOn);
    under_way.cancel();
    assert_eq!(under_way.wish(), Wish::Cancel);
    assert_eq!(under_way.wish(), Wish::Cancel);
}
