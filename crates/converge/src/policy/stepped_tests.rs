use super::*;
use crate::sample::Harvest;
use crate::units::{Bytes, Pages};

/// The end of pass `pass`, `millis` after the end of the one before.
fn pass_end(pass: u32, millis: u64, sent_mib: u64, newly_mib: u64) -> Sample {
    Sample {
        elapsed: Duration::from_millis(millis),
        pass,
        sent: Bytes(sent_mib << 20),
        harvest: Some(Harvest {
            newly_dirty: Pages(newly_mib << 8),
            ended_pass: true,
            ..Harvest::default()
        }),
        ..Sample::default()
    }
}

/// The throttle after each of the samples, in per cent.
fn steps(parameters: SteppedParameters, samples: &[Sample]) -> Vec<u32> {
    let mut rule = Stepped::new(parameters);
    let mut throttle = Throttle::NONE;
    let per_cent = |throttle: Throttle| format!("{:.0}", throttle.share() * 100.0).parse().unwrap();
    let after = |sample| {
        if let Some(change) = rule.observe(sample) {
            throttle = change.throttles.hardest();
        }
        per_cent(throttle)
    };
    samples.iter().map(after).collect()
}

#[test]
fn every_second_bad_period_is_a_step_up_to_the_last() {
    let samples: Vec<Sample> = (1..=20).map(|pass| pass_end(pass, 1_100, 128, 128)).collect();
    assert_eq!(
        steps(SteppedParameters::default(), &samples),
        [0, 20, 20, 30, 30, 40, 40, 50, 50, 60, 60, 70, 70, 80, 80, 90, 90, 99, 99, 99]
    );
}

#[test]
fn a_period_lasts_until_the_first_pass_that_ends_after_more_than_a_second() {
    // As on a link of 125 MB/s and a limit of 300 ms: a pass of the reference sweep takes 0.77 s, so two make a period.
    let samples: Vec<Sample> = (1..=8).map(|pass| pass_end(pass, 770, 92, 92)).collect();
    assert_eq!(steps(SteppedParameters::default(), &samples), [0, 0, 0, 20, 20, 20, 20, 30]);
    // Exactly a second is not more than a second.
    let samples =
        [pass_end(1, 1_000, 10, 10), pass_end(2, 1_000, 10, 10), pass_end(3, 1_000, 10, 10)];
    assert_eq!(steps(SteppedParameters::default(), &samples), [0, 0, 0]);
}

#[test]
fn half_of_what_was_sent_may_be_dirtied_anew_and_no_more() {
    let good = pass_end(2, 1_500, 100, 50);
    let bad = pass_end(2, 1_500, 100, 51);
    assert_eq!(
        steps(SteppedParameters::default(), &[good.clone(), good.clone(), good.clone()]),
        [0, 0, 0]
    );
    // A good period in between takes nothing back.
    assert_eq!(
        steps(SteppedParameters::default(), &[bad.clone(), good.clone(), good, bad]),
        [0, 0, 0, 20]
    );
}

#[test]
fn samples_inside_a_pass_count_towards_the_period_but_never_end_it() {
    let inside = Sample {
        elapsed: Duration::from_millis(2_000),
        pass: 2,
        sent: Bytes(100 << 20),
        ..Sample::default()
    };
    // The end of the pass alone would be bad: 40 dirtied, 0 sent. With what was sent inside it is good.
    let end = pass_end(2, 10, 0, 40);
    assert_eq!(
        steps(SteppedParameters::default(), &[inside.clone(), end.clone(), inside, end]),
        [0, 0, 0, 0]
    );
}

#[test]
fn the_parameters_are_obeyed() {
    let parameters = SteppedParameters {
        initial: Throttle::new(0.05),
        increment: Throttle::new(0.25),
        max: Throttle::new(0.5),
        trigger_threshold: 0.8,
    };
    let samples: Vec<Sample> = (1..=8).map(|pass| pass_end(pass, 1_100, 100, 81)).collect();
    assert_eq!(steps(parameters, &samples), [0, 5, 5, 30, 30, 50, 50, 50]);
    let samples: Vec<Sample> = (1..=4).map(|pass| pass_end(pass, 1_100, 100, 80)).collect();
    assert_eq!(steps(parameters, &samples), [0, 0, 0, 0]);
}

#[test]
fn the_run_slice_stays_ten_milliseconds_and_all_vcpus_sleep_at_once() {
    let mut rule = Stepped::new(SteppedParameters::default());
    let bad = pass_end(2, 1_100, 100, 100);
    assert_eq!(rule.observe(&bad), None);
    let VcpuThrottles::Uniform(duty) = rule.observe(&bad).unwrap().throttles else {
        panic!("not uniform")
    };
    assert_eq!(duty.run(), Duration::from_millis(10));
    assert_eq!(duty.stall(), Duration::from_micros(2_500));
    assert!(!duty.staggered());
}
