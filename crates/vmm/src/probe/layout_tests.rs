use super::*;

fn plan(working_set: u64, vcpus: usize, memory: u64) -> Result<Plan, PlanError> {
    let ram = GuestRam::new(Bytes(memory)).unwrap();
    Plan::new(Workload { working_set: Bytes(working_set), ..Workload::default() }, vcpus, &ram)
}

#[test]
fn ranges_of_several_vcpus_do_not_overlap() {
    let plan = plan(128 << 20, 3, 512 << 20).unwrap();
    for pair in plan.vcpus.windows(2) {
        assert!(pair[0].base + pair[0].pages * PAGE_SIZE <= pair[1].base);
        assert!(pair[0].control + PAGE_SIZE <= pair[1].control);
    }
}

#[test]
fn a_range_that_would_span_the_hole_moves_behind_it() {
    let plan = plan(5 << 30, 2, 8 << 30).unwrap();
    assert_eq!(plan.vcpus[1].base, 4 << 30);
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(matches!(plan(512 << 20, 1, 512 << 20), Err(PlanError::TooLarge(_))));
    assert!(matches!(plan(4096, 1, 512 << 20), Err(PlanError::TooSmall(..))));
    assert!(matches!(plan(1 << 20, 65, 512 << 20), Err(PlanError::Vcpus(65))));
}

#[test]
fn one_that_computes_leaves_its_share_to_the_others() {
    let ram = GuestRam::new(Bytes(512 << 20)).unwrap();
    let workload = "random,working-set=128MiB,computing=1".parse().unwrap();
    let plan = Plan::new(workload, 2, &ram).unwrap();
    assert_eq!((plan.vcpus[0].pages, plan.vcpus[1].pages), (32768, 0));
}

#[test]
fn the_hot_part_is_a_part() {
    let ram = GuestRam::new(Bytes(512 << 20)).unwrap();
    let plan = |text: &str| Plan::new(text.parse().unwrap(), 1, &ram);
    let usual = plan("hot-cold,working-set=128MiB").unwrap();
    assert_eq!(usual.hot_pages(&usual.vcpus[0]), 4096);
    let small = plan("hot-cold,working-set=128MiB,hot=1MiB").unwrap();
    assert_eq!(small.hot_pages(&small.vcpus[0]), 256);
    assert!(matches!(plan("hot-cold,hot=256MiB"), Err(PlanError::Hot(..))));
}
