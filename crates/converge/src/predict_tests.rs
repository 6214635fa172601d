use super::*;

const BANDWIDTH: f64 = 30_518.0;
const SET: f64 = 32_768.0;
const TARGET: f64 = 9_155.0;

fn load(rate: f64, pattern: Pattern) -> Load {
    Load { rate, working_set: Some(SET), pattern }
}

/// The same by small steps.
fn stepwise(load: &Load, remaining: f64, target: f64, share: f64) -> f64 {
    let (mut left, mut time) = (remaining, 0.0);
    while left > target && time < 1_000.0 {
        let clean = match load.pattern {
            Pattern::Random => 1.0 - left / SET,
            Pattern::Sweep => 1.0,
        };
        left += (load.rate * share * clean - BANDWIDTH) * 1e-4;
        time += 1e-4;
    }
    time
}

#[test]
fn the_time_to_go_is_what_small_steps_give() {
    for pattern in [Pattern::Random, Pattern::Sweep] {
        for share in [0.01, 0.03, 0.08, 0.12] {
            let load = load(244_140.0, pattern);
            let time = load.time_to(SET, TARGET, share, BANDWIDTH).unwrap();
            let slow = stepwise(&load, SET, TARGET, share);
            assert!((time - slow).abs() < 0.01 * slow, "{pattern:?} {share}: {time} {slow}");
        }
    }
}

#[test]
fn the_least_throttle_is_where_the_floor_meets_the_target() {
    for pattern in [Pattern::Random, Pattern::Sweep] {
        let load = load(244_140.0, pattern);
        let least = load.least_throttle(TARGET, BANDWIDTH);
        assert!(load.reaches(TARGET, 1.0 - least - 1e-3, BANDWIDTH), "{pattern:?} {least}");
        assert!(!load.reaches(TARGET, 1.0 - least + 1e-3, BANDWIDTH), "{pattern:?} {least}");
    }
    assert!(
        (load(244_140.0, Pattern::Sweep).least_throttle(TARGET, BANDWIDTH) - 0.875).abs() < 1e-3
    );
    assert!(
        (load(244_140.0, Pattern::Random).least_throttle(TARGET, BANDWIDTH) - 0.8266).abs() < 1e-3
    );
}

#[test]
fn a_working_set_that_fits_into_the_downtime_needs_no_throttle_however_fast_it_is_rewritten() {
    let load = Load { rate: 1e7, working_set: Some(9_000.0), pattern: Pattern::Sweep };
    assert_eq!(load.least_throttle(TARGET, BANDWIDTH), 0.0);
    let all_but_the_set = (100_000.0 - TARGET) / BANDWIDTH;
    assert_eq!(load.time_to(100_000.0, TARGET, 1.0, BANDWIDTH), Some(all_but_the_set));
}

#[test]
fn without_a_link_nothing_arrives() {
    assert_eq!(load(10.0, Pattern::Sweep).time_to(SET, TARGET, 1.0, 0.0), None);
}
