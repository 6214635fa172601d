use proptest::prelude::*;

use super::*;
use crate::estimate::NEVER;
use crate::sample::{DirtyWindow, Harvest};
use crate::simulator::{
    GuestModel, LinkModel, Rhythm, Scenario, SimulatedOutcome, VcpuModel, Workload, simulate,
};
use crate::units::{ByteRate, Bytes};
use crate::verdict::VerdictState;

const MIB: u64 = 1 << 20;

fn controller(policy: Policy, limits: Limits) -> Controller {
    Controller::new(policy, limits, GuestShape { memory: Pages(131_072), vcpus: 2 })
}

fn wild_number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), 0..100_000_u64, Just(u64::MAX), any::<u64>()]
}

fn wild_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        (0..100_u64).prop_map(Duration::from_millis),
        Just(Duration::MAX),
    ]
}

prop_compose! {
    fn wild_harvest()(
        times in [wild_time(), wild_time(), wild_time()],
        counts in [wild_number(), wild_number(), wild_number()],
        by_vcpu in prop::collection::vec(wild_number().prop_map(Pages), 0..4),
        ended_pass in any::<bool>(),
    ) -> Harvest {
        Harvest {
            elapsed: times[0],
            guest_ran: times[1],
            dirtied: Pages(counts[0]),
            newly_dirty: Pages(counts[1]),
            dirtied_by_vcpu: by_vcpu,
            guest_ran_by_vcpu: Vec::new(),
            window: DirtyWindow { guest_ran: times[2], distinct: Pages(counts[2]) },
            ended_pass,
        }
    }
}

prop_compose! {
    fn wild_sample()(
        times in [wild_time(), wild_time()],
        counts in [wild_number(), wild_number(), wild_number()],
        resent in [wild_number(), wild_number()],
        pass in any::<u32>(),
        harvest in prop::option::of(wild_harvest()),
    ) -> Sample {
        Sample {
            elapsed: times[0],
            pass,
            sent: Bytes(counts[0]),
            sent_pages: Pages(counts[1]),
            resent: Bytes(resent[0]),
            resent_pages: Pages(resent[1]),
            remaining: Pages(counts[2]),
            idle: Duration::ZERO,
            fixed_downtime: times[1],
            harvest,
        }
    }
}

prop_compose! {
    fn any_limits()(
        downtime in wild_time(),
        throttle in 0.0..1.0_f64,
        stall in 0..50_u64,
        time_limit in prop::option::of(wild_time()),
        switchover in any::<bool>(),
    ) -> Limits {
        Limits {
            max_downtime: downtime,
            max_throttle: Throttle::new(throttle),
            max_stall: Duration::from_millis(stall),
            time_limit,
            on_limit: if switchover { OnLimit::Switchover } else { OnLimit::Abort },
        }
    }
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(Policy::ALL.to_vec())
}

proptest! {
    #[test]
    fn whatever_is_measured_nothing_overflows_and_every_number_is_one(
        policy in any_policy(),
        deltas in any::<bool>(),
        limits in any_limits(),
        samples in prop::collection::vec(wild_sample(), 0..60),
    ) {
        let controller = controller(policy, limits);
        let mut controller = if deltas { controller.with_deltas() } else { controller };
        for sample in samples {
            let fixed = sample.fixed_downtime;
            let decision = controller.step(sample);
            let estimates = controller.estimates();
            for rate in [estimates.bandwidth, estimates.dirty_rate, estimates.unthrottled_dirty_rate] {
                prop_assert!(!rate.bytes_per_second().is_nan());
            }
            prop_assert!(estimates.expected_downtime <= NEVER);
            prop_assert!(!controller.verdict().text.contains("NaN"), "{}", controller.verdict().text);
            prop_assert!(!controller.reason().contains("NaN"), "{}", controller.reason());
            if let Decision::Throttle(throttles) = &decision {
                prop_assert_eq!(throttles, controller.throttles());
            }
            if policy == Policy::Adaptive {
                prop_assert!(controller.throttles().hardest().share() <= limits.max_throttle.share() + 1e-6);
            }
            controller.accepts_switchover(Pages(u64::MAX), fixed, || Some(Bytes(u64::MAX)));
        }
    }
}

prop_compose! {
    fn any_workload()(kind in 0..3, set in 8..256_u64) -> Workload {
        let set_bytes = Bytes(set * MIB);
        match kind {
            0 => Workload::Sweep { set: set_bytes },
            1 => Workload::Random { set: set_bytes },
            _ => Workload::HotAndCold {
                hot: Bytes(set / 4 * MIB + MIB),
                cold: set_bytes,
                hot_share: 0.9,
            },
        }
    }
}

prop_compose! {
    fn any_guest()(
        workloads in prop::collection::vec((any_workload(), 1.0..2000.0_f64), 1..4),
        full in any::<bool>(),
    ) -> GuestModel {
        let mut base = Bytes(0);
        let mut vcpus = Vec::new();
        for (workload, rate) in workloads {
            let rate = ByteRate::new(rate * 1e6);
            vcpus.push(VcpuModel { workload, rate, rhythm: Rhythm::Steady, base, phase: 0.0 });
            base += workload.extent();
        }
        let memory = Bytes(1024 * MIB);
        let zero = if full { Bytes(0) } else { memory.saturating_sub(base) };
        GuestModel { memory, zero, vcpus }
    }
}

/// Bytes dirtied a second at the hardest throttle, and all that is ever written to.
fn bounds(guest: &GuestModel) -> (f64, f64) {
    let rate: f64 = guest.vcpus.iter().map(|vcpu| vcpu.rate.bytes_per_second()).sum();
    let sets: u64 = guest.vcpus.iter().map(|vcpu| vcpu.workload.extent().0).sum();
    (rate, sets as f64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_can_arrive_within_the_limits_does_and_keeps_every_limit(
        guest in any_guest(),
        megabytes_per_second in 40.0..800.0_f64,
        max_throttle in 0.5..0.99_f64,
        max_stall in 2..20_u64,
        log_knows_vcpus in any::<bool>(),
    ) {
        let bandwidth = megabytes_per_second * 1e6;
        let limits = Limits {
            max_throttle: Throttle::new(max_throttle),
            max_stall: Duration::from_millis(max_stall),
            ..Limits::default()
        };
        let run = simulate(&Scenario {
            limits,
            log_knows_vcpus,
            horizon: Duration::from_secs(40),
            ..Scenario::new(guest.clone(), LinkModel::Constant(ByteRate::new(bandwidth)), Policy::Adaptive)
        });
        prop_assert!(run.max_throttle.share() <= max_throttle + 1e-6, "{}", run.max_throttle);
        prop_assert!(run.max_stall <= limits.max_stall, "{:?}", run.max_stall);
        prop_assert!(run.downtime <= limits.max_downtime, "{:?}", run.downtime);
        let (rate, _) = bounds(&guest);
        if rate * (1.0 - max_throttle) < 0.8 * bandwidth {
            prop_assert_eq!(&run.outcome, &SimulatedOutcome::Completed, "{}", run.verdict.text);
        }
    }

    #[test]
    fn whatever_arrives_unaided_is_never_held_back(
        guest in any_guest(),
        headroom in 1.1..4.0_f64,
    ) {
        let (rate, _) = bounds(&guest);
        let run = simulate(&Scenario {
            horizon: Duration::from_secs(600),
            ..Scenario::new(guest, LinkModel::Constant(ByteRate::new(rate * headroom)), Policy::Adaptive)
        });
        prop_assert_eq!(&run.outcome, &SimulatedOutcome::Completed, "{}", run.verdict.text);
        prop_assert_eq!(run.stolen, Duration::ZERO);
    }

    #[test]
    fn a_link_that_jitters_is_no_reason_to_hold_a_light_guest_back(
        guest in any_guest(),
        headroom in 1.5..4.0_f64,
        swing in 0.0..0.4_f64,
        millis in 30..1_500_u64,
    ) {
        let (rate, _) = bounds(&guest);
        let link = LinkModel::Wave {
            mean: ByteRate::new(rate * headroom / (1.0 - swing)),
            swing,
            period: Duration::from_millis(millis),
        };
        let run = simulate(&Scenario {
            horizon: Duration::from_secs(600),
            ..Scenario::new(guest, link, Policy::Adaptive)
        });
        prop_assert_eq!(&run.outcome, &SimulatedOutcome::Completed, "{}", run.verdict.text);
        prop_assert_eq!(run.stolen, Duration::ZERO);
    }

    #[test]
    fn what_arrives_without_auto_converge_arrives_as_soon_with_it(
        guest in any_guest(),
        megabytes_per_second in 40.0..800.0_f64,
    ) {
        let with = |policy| simulate(&Scenario {
            horizon: Duration::from_secs(40),
            ..Scenario::new(guest.clone(), LinkModel::Constant(ByteRate::new(megabytes_per_second * 1e6)), policy)
        });
        let (off, adaptive) = (with(Policy::Off), with(Policy::Adaptive));
        if off.outcome == SimulatedOutcome::Completed {
            prop_assert_eq!(&adaptive.outcome, &SimulatedOutcome::Completed);
            prop_assert!(adaptive.total.as_secs_f64() <= off.total.as_secs_f64() * 1.1 + 0.5,
                "{:?} {:?}", adaptive.total, off.total);
        }
    }
}

/// A harvest of a sweep, 50 ms long, and what the link carried meanwhile.
fn sweeping(dirtied: u64, sent: u64, pass: u32) -> Sample {
    Sample {
        elapsed: Duration::from_millis(50),
        pass,
        sent: Pages(sent).bytes(),
        sent_pages: Pages(sent),
        remaining: Pages(40_000),
        fixed_downtime: Duration::from_millis(5),
        harvest: Some(Harvest {
            elapsed: Duration::from_millis(50),
            guest_ran: Duration::from_millis(50),
            dirtied: Pages(dirtied),
            newly_dirty: Pages(sent),
            window: DirtyWindow { guest_ran: Duration::from_millis(50), distinct: Pages(dirtied) },
            ..Harvest::default()
        }),
        ..Sample::default()
    }
}

#[test]
fn the_verdict_stands_before_the_first_second_is_over() {
    let mut controller = controller(Policy::Off, Limits::default());
    for _ in 0..4 {
        assert_eq!(controller.step(sweeping(12_000, 1_500, 1)), Decision::KeepOn);
    }
    assert_eq!(controller.verdict().state, VerdictState::NeedsThrottle);
}

#[test]
fn one_throttle_is_decided_once_and_not_again_with_every_sample() {
    let mut controller = controller(Policy::Adaptive, Limits::default());
    let decisions: Vec<_> = (0..8).map(|_| controller.step(sweeping(12_000, 1_500, 2))).collect();
    let throttles = decisions.iter().filter(|decision| matches!(decision, Decision::Throttle(_)));
    assert_eq!(throttles.count(), 1, "{decisions:?}");
    assert!(controller.reason().contains("held at"), "{}", controller.reason());
}

#[test]
fn a_limit_lowered_under_way_lowers_the_throttle_with_the_next_harvest() {
    let mut controller = controller(Policy::Adaptive, Limits::default());
    for _ in 0..6 {
        controller.step(sweeping(12_000, 1_500, 2));
    }
    assert!(controller.throttles().hardest().share() > 0.95);
    controller.set_limits(Limits { max_throttle: Throttle::new(0.9), ..Limits::default() });
    let decision = controller.step(sweeping(12_000, 1_500, 2));
    let Decision::Throttle(throttles) = decision else { panic!("{decision:?}") };
    assert!(throttles.hardest().share() <= 0.9 + 1e-6);
}

/// As of a guest whose pages of late were of zeros, but for one in four.
#[test]
fn pages_that_may_not_be_as_cheap_as_before_are_counted() {
    let mut controller = controller(Policy::Adaptive, Limits::default());
    for _ in 0..40 {
        let sent_pages = Pages(sweeping(12_000, 1_500, 2).sent.0 / 1024);
        controller.step(Sample { sent_pages, ..sweeping(12_000, 1_500, 2) });
    }
    let fixed = Duration::from_millis(5);
    // As they are, they would take longer than is allowed.
    let pages = Pages(16_000);
    assert!(controller.accepts_switchover(pages, fixed, || None));
    assert!(controller.accepts_switchover(pages, fixed, || Some(Bytes(pages.bytes().0 / 4))));
    assert!(!controller.accepts_switchover(pages, fixed, || Some(pages.bytes())));
    assert!(controller.expected_downtime() > Limits::default().max_downtime);
    // And for a while that is known.
    assert!(!controller.accepts_switchover(pages, fixed, || panic!("there is nothing to ask")));
    // Where all of it fits, nobody is asked.
    assert!(controller.accepts_switchover(Pages(4_000), fixed, || panic!("they fit")));
}

#[test]
fn a_switchover_that_does_not_fit_is_refused_unless_the_time_limit_forces_it() {
    let mut controller = controller(Policy::Adaptive, Limits::default());
    for _ in 0..6 {
        controller.step(sweeping(12_000, 1_500, 1));
    }
    assert!(controller.accepts_switchover(Pages(8_000), Duration::from_millis(5), || None));
    assert!(!controller.accepts_switchover(Pages(9_000), Duration::from_millis(5), || None));
    controller.set_limits(Limits {
        time_limit: Some(Duration::from_millis(100)),
        on_limit: OnLimit::Switchover,
        ..Limits::default()
    });
    assert_eq!(controller.step(sweeping(12_000, 1_500, 1)), Decision::SwitchOver);
    assert!(controller.accepts_switchover(Pages(9_000), Duration::from_millis(5), || None));
}
