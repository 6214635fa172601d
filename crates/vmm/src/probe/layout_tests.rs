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
