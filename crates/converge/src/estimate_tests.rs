use super::*;
use crate::sample::{DirtyWindow, Harvest};
use crate::units::{Bytes, PAGE_SIZE, Throttle};
use crate::{DutyCycle, Policy};

const TICK: Duration = Duration::from_millis(50);

fn estimator() -> Estimator {
    Estimator::new(Policy::Adaptive.sampling(), 1)
}

/// A stretch of 50 ms in which `mib_per_second` left and something was still waiting.
fn sending(mib_per_second: u64) -> Sample {
    let sent = Bytes((mib_per_second << 20) / 20);
    Sample {
        elapsed: TICK,
        pass: 1,
        sent,
        sent_pages: Pages(sent.0 / PAGE_SIZE),
        remaining: Pages(100_000),
        ..Sample::default()
    }
}

fn bandwidth_mib(estimator: &Estimator) -> f64 {
    estimator.bandwidth.bytes_per_second() / f64::from(1 << 20)
}

fn observe(estimator: &mut Estimator, sample: &Sample, times: usize) {
    for _ in 0..times {
        estimator.observe(sample, &VcpuThrottles::Released);
    }
}

#[test]
fn zero_pages_do_not_make_the_link_look_slow() {
    let mut estimator = estimator();
    observe(&mut estimator, &sending(100), 10);
    let zero_pages = Sample { sent: Bytes(9 * 50_000), sent_pages: Pages(50_000), ..sending(100) };
    observe(&mut estimator, &zero_pages, 40);
    assert!((bandwidth_mib(&estimator) - 100.0).abs() < 1.0, "{}", bandwidth_mib(&estimator));
}

#[test]
fn zero_pages_at_the_end_of_the_first_pass_do_not_make_dirty_pages_look_cheap() {
    let mut estimator = estimator();
    observe(&mut estimator, &sending(100), 10);
    // The last of the first pass and the first of the second in one sample.
    let mixed = Sample { pass: 2, sent_pages: Pages(50_000), ..sending(100) };
    observe(&mut estimator, &mixed, 1);
    observe(&mut estimator, &Sample { pass: 2, ..sending(100) }, 1);
    let pages = estimator.bandwidth.pages_per_second();
    assert!((pages / (25_600.0) - 1.0).abs() < 0.02, "{pages}");
}

#[test]
fn no_downtime_is_promised_on_the_grounds_that_some_pages_were_cheap() {
    let again = |pages| Sample { pass: 2, sent_pages: Pages(pages), ..sending(100) };
    let as_if_all_were_dear = 25_600.0;

    let mut always_cheap = estimator();
    observe(&mut always_cheap, &again(12_800), 80);
    let cautious = always_cheap.bandwidth.cautious_pages_per_second();
    assert!(cautious > 8.0 * as_if_all_were_dear, "{cautious}");

    let mut now_and_then = estimator();
    for _ in 0..40 {
        observe(&mut now_and_then, &again(1_280), 3);
        observe(&mut now_and_then, &again(2_560), 1);
    }
    let mean = now_and_then.bandwidth.pages_per_second();
    assert!(mean > 1.1 * as_if_all_were_dear, "{mean}");
    let cautious = now_and_then.bandwidth.cautious_pages_per_second();
    assert!(cautious < 1.01 * as_if_all_were_dear, "{cautious}");
}

#[test]
fn a_queue_that_ran_dry_does_not_make_the_link_look_slow() {
    let mut estimator = estimator();
    observe(&mut estimator, &sending(100), 10);
    observe(&mut estimator, &Sample { remaining: Pages(0), ..sending(5) }, 40);
    assert!((bandwidth_mib(&estimator) - 100.0).abs() < 1.0, "{}", bandwidth_mib(&estimator));
}

#[test]
fn a_queue_that_runs_dry_says_how_fast_the_link_is_where_it_is_known_for_how_long_it_was_dry() {
    let mut estimator = estimator();
    let idle = Duration::from_millis(45);
    let few = Sample { pass: 2, idle, remaining: Pages(0), ..sending(5) };
    observe(&mut estimator, &few, 40);
    assert!((bandwidth_mib(&estimator) - 50.0).abs() < 1.0, "{}", bandwidth_mib(&estimator));
    assert!(estimator.bandwidth.is_known());
}

#[test]
fn a_link_that_became_slower_is_believed_within_a_second() {
    let mut estimator = estimator();
    observe(&mut estimator, &sending(100), 40);
    observe(&mut estimator, &sending(20), 20);
    assert!((bandwidth_mib(&estimator) - 20.0).abs() < 8.0, "{}", bandwidth_mib(&estimator));
}

#[test]
fn nothing_leaving_for_a_second_is_a_stall_and_does_not_erase_the_bandwidth() {
    let mut estimator = estimator();
    observe(&mut estimator, &sending(100), 20);
    observe(&mut estimator, &sending(0), 19);
    assert!(!estimator.bandwidth.is_stalled());
    observe(&mut estimator, &sending(0), 40);
    assert!(estimator.bandwidth.is_stalled());
    observe(&mut estimator, &sending(100), 1);
    assert!(!estimator.bandwidth.is_stalled());
    assert!((bandwidth_mib(&estimator) - 100.0).abs() < 1.0, "{}", bandwidth_mib(&estimator));
}

/// Harvests of 50 ms of a guest whose window fills as `distinct` (pages after so many seconds of run time) tells.
fn harvests(
    estimator: &mut Estimator,
    count: u32,
    throttle: Throttle,
    distinct: impl Fn(f64) -> f64,
) {
    let ran = TICK.mul_f64(throttle.run_share());
    let throttles = DutyCycle::bounded(throttle, Duration::from_millis(10))
        .map_or(VcpuThrottles::Released, VcpuThrottles::Uniform);
    for index in 1..=count {
        let harvest = Harvest {
            elapsed: TICK,
            guest_ran: ran,
            dirtied: whole_pages(distinct(ran.as_secs_f64())),
            window: DirtyWindow {
                guest_ran: ran * index,
                distinct: whole_pages(distinct((ran * index).as_secs_f64())),
            },
            ..Harvest::default()
        };
        let sample = Sample { elapsed: TICK, harvest: Some(harvest), ..sending(100) };
        estimator.observe(&sample, &throttles);
    }
}

#[test]
fn a_sweep_and_random_writing_are_told_apart_and_measured() {
    let (rate, set) = (100_000.0, 32_768.0);
    let sweep = |time: f64| (rate * time).min(set);
    let random = |time: f64| set * (1.0 - (-rate * time / set).exp());
    for (pattern, distinct) in
        [(Pattern::Sweep, &sweep as &dyn Fn(f64) -> f64), (Pattern::Random, &random)]
    {
        let mut estimator = estimator();
        harvests(&mut estimator, 40, Throttle::NONE, distinct);
        let load = estimator.load(Pattern::Sweep);
        assert_eq!(load.pattern, pattern);
        let seen = load.working_set.unwrap();
        assert!((seen - set).abs() < 0.05 * set, "{pattern:?} {seen}");
        assert!((load.rate - rate).abs() < 0.05 * rate, "{pattern:?} {}", load.rate);
    }
}

#[test]
fn a_working_set_whose_end_was_not_seen_is_not_called_known() {
    let mut estimator = estimator();
    harvests(&mut estimator, 20, Throttle::NONE, |time| 10_000.0 * time);
    assert_eq!(estimator.load(Pattern::Sweep).working_set, None);
    assert_eq!(estimator.public().working_set, Pages(10_000));
}

#[test]
fn the_unthrottled_rate_stays_what_it_is_when_the_guest_hardly_runs() {
    let mut estimator = estimator();
    harvests(&mut estimator, 20, Throttle::NONE, |time| (200_000.0 * time).min(50_000.0));
    harvests(&mut estimator, 10, Throttle::MAX, |time| (200_000.0 * time).min(50_000.0));
    let rate = estimator.dirtying.unthrottled();
    assert!((rate - 200_000.0).abs() < 0.05 * 200_000.0, "{rate}");
    assert!((estimator.dirtying.wall() - 2_000.0).abs() < 200.0, "{}", estimator.dirtying.wall());
}

#[test]
fn before_anything_left_the_downtime_is_never() {
    let mut estimator = estimator();
    assert_eq!(estimator.public().expected_downtime, Duration::ZERO);
    observe(&mut estimator, &sending(0), 1);
    assert_eq!(estimator.public().expected_downtime, NEVER);
}

#[test]
fn what_a_page_takes_is_known_from_the_first_that_are_sent_again() {
    let mut estimator = estimator();
    estimator.bandwidth.expect_deltas();
    observe(&mut estimator, &sending(100), 10);
    assert!(!estimator.bandwidth.knows_cost());
    // Most of it left in the first pass, and the rest was 5000 pages of 128 bytes each.
    let mixed =
        Sample { pass: 2, resent: Bytes(5_000 * 128), resent_pages: Pages(5_000), ..sending(100) };
    observe(&mut estimator, &mixed, 1);
    assert!(estimator.bandwidth.knows_cost());
    let pages = estimator.bandwidth.pages_per_second();
    assert!((pages / (25_600.0 * 32.0) - 1.0).abs() < 0.02, "{pages}");
    // One sample promises nothing yet.
    let promised = estimator.bandwidth.cautious_pages_per_second();
    assert!(promised < 25_600.0 * 1.01, "{promised}");
}

#[test]
fn also_a_slow_link_makes_known_what_a_page_takes() {
    let mut estimator = estimator();
    estimator.bandwidth.expect_deltas();
    observe(&mut estimator, &sending(1), 10);
    let few = Sample { pass: 2, resent: Bytes(13 * 4096), resent_pages: Pages(13), ..sending(1) };
    observe(&mut estimator, &few, 4);
    assert!(!estimator.bandwidth.knows_cost());
    observe(&mut estimator, &few, 1);
    assert!(estimator.bandwidth.knows_cost());
}
