use super::*;
use crate::sample::Harvest;
use crate::units::{Bytes, Pages};

fn period(sent_mib: u64, newly_mib: u64) -> Sample {
    Sample {
        elapsed: Duration::from_millis(1_100),
        pass: 2,
        sent: Bytes(sent_mib << 20),
        harvest: Some(Harvest {
            newly_dirty: Pages(newly_mib << 8),
            ended_pass: true,
            ..Harvest::default()
        }),
        ..Sample::default()
    }
}

#[test]
fn the_sixth_bad_period_puts_every_vcpu_to_sleep_for_three_quarters_of_the_time() {
    let mut rule = Classic::default();
    for _ in 0..5 {
        assert_eq!(rule.observe(&period(100, 60)), None);
    }
    // Good periods in between neither act nor reset.
    assert_eq!(rule.observe(&period(100, 50)), None);
    assert_eq!(rule.observe(&period(0, 0)), None);
    let change = rule.observe(&period(100, 60)).unwrap();
    let VcpuThrottles::Uniform(duty) = change.throttles else { panic!("not uniform") };
    assert_eq!((duty.run().as_millis(), duty.stall().as_millis()), (10, 30));
    assert!(!duty.staggered());
}

#[test]
fn there_is_no_second_step() {
    let mut rule = Classic::default();
    let changes = (0..50).filter_map(|_| rule.observe(&period(100, 100))).count();
    assert_eq!(changes, 1);
}
