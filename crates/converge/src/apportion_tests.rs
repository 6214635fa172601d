use proptest::prelude::*;

use super::*;

#[test]
fn a_vcpu_that_only_reads_goes_free() {
    let throttles = apportion(&[100_000.0, 0.0], 10_000.0, Throttle::MAX);
    assert_eq!(throttles, [Throttle::new(0.9), Throttle::NONE]);
}

#[test]
fn heavy_writers_are_held_to_the_same_cap_and_light_ones_go_free() {
    let rates = [1_000.0, 50_000.0, 200_000.0];
    let throttles = apportion(&rates, 41_000.0, Throttle::MAX);
    assert_eq!(throttles[0], Throttle::NONE);
    for (rate, throttle) in rates.iter().zip(&throttles).skip(1) {
        assert!((rate * throttle.run_share() - 20_000.0).abs() < 1e-6);
    }
}

#[test]
fn a_budget_that_is_met_anyway_holds_nobody() {
    assert!(apportion(&[5.0, 6.0], 12.0, Throttle::MAX).iter().all(|throttle| throttle.is_none()));
}

proptest! {
    #[test]
    fn the_budget_is_met_unless_the_hardest_throttle_forbids_it(
        rates in prop::collection::vec(0.0..1e7_f64, 1..32),
        share in 0.0..1.0_f64,
    ) {
        let sum: f64 = rates.iter().sum();
        let throttles = apportion(&rates, sum * share, Throttle::MAX);
        let left: f64 = rates.iter().zip(&throttles).map(|(rate, throttle)| rate * throttle.run_share()).sum();
        // A hold below one per cent is waived, and no vCPU is held harder than 99 %.
        prop_assert!(left <= sum * (share + 0.0101) + 1e-6, "{} of {}", left, sum * share);
    }
}
