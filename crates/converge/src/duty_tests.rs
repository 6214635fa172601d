use super::*;

const STALL: Duration = Duration::from_millis(10);

#[test]
fn a_bounded_stall_never_exceeds_its_bound_and_keeps_the_share() {
    for per_mille in 1..=990 {
        let throttle = Throttle::new(f64::from(per_mille) / 1000.0);
        let duty = DutyCycle::bounded(throttle, STALL).unwrap();
        assert!(duty.stall() <= STALL, "{throttle}: {:?}", duty.stall());
        assert!(duty.run() >= LEAST_RUN);
        let kept = (duty.throttle().share() - throttle.share()).abs() < 1e-6;
        assert!(kept || duty.run() == LEAST_RUN, "{throttle}: {duty:?}");
    }
}

#[test]
fn at_99_per_cent_the_run_slice_shrinks_where_qemu_lets_the_stall_grow() {
    let ours = DutyCycle::bounded(Throttle::MAX, STALL).unwrap();
    assert_eq!((ours.run(), ours.stall()), (LEAST_RUN, STALL));
    let qemu = DutyCycle::fixed_run(Throttle::MAX, STALL).unwrap();
    assert_eq!((qemu.run().as_millis(), qemu.stall().as_millis()), (10, 990));
}

#[test]
fn qemus_table_of_stalls_comes_out() {
    for (per_cent, stall_us) in
        [(20, 2_500), (30, 4_285), (50, 10_000), (70, 23_333), (90, 90_000), (95, 190_000)]
    {
        let duty = DutyCycle::fixed_run(Throttle::new(f64::from(per_cent) / 100.0), STALL).unwrap();
        assert!(
            duty.stall().as_micros().abs_diff(stall_us) <= 1,
            "{per_cent} %: {:?}",
            duty.stall()
        );
    }
}

#[test]
fn no_throttle_is_no_duty_cycle() {
    assert_eq!(DutyCycle::bounded(Throttle::NONE, STALL), None);
    assert_eq!(DutyCycle::fixed_run(Throttle::NONE, STALL), None);
}
