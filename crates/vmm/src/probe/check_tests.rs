use std::sync::Arc;
use std::time::Duration;

use landfall_converge::Bytes;

use super::*;
use crate::probe::{Workload, install};
use crate::synthetic::{SoftwareLog, SyntheticCpu, TICKS_PER_SECOND};
use crate::vcpu::Cpu;

/// A guest that has worked for a while, and where its pages are.
fn worked(workload: &str) -> (Plan, Arc<GuestRam>) {
    let ram = Arc::new(GuestRam::new(Bytes(16 << 20)).unwrap());
    let workload: Workload = format!("{workload},working-set=4MiB").parse().unwrap();
    let plan = Plan::new(workload, 1, &ram).unwrap();
    install(&plan, &ram, TICKS_PER_SECOND).unwrap();
    let log = Arc::new(SoftwareLog::new(&ram));
    let mut cpu = SyntheticCpu::new(Arc::clone(&ram), log, plan.vcpus[0]);
    // By work, not by time: a little more than a lap.
    while plan.vcpus[0].get(&ram, ControlBlock::Work).unwrap() < plan.vcpus[0].pages + 100 {
        // The shortest slice is one chunk, so that a fast or a busy host comes no further.
        cpu.run(Some(Duration::from_nanos(1))).unwrap();
    }
    (plan, ram)
}

fn integrity(plan: &Plan, ram: &GuestRam) -> String {
    check(plan, ram).unwrap().integrity
}

#[test]
fn a_guest_that_lost_nothing_is_ok() {
    for workload in ["sweep", "random", "hot-cold", "read-only"] {
        let (plan, ram) = worked(workload);
        let found = check(&plan, &ram).unwrap();
        assert_eq!(found.integrity, "ok", "{workload}");
        assert_eq!(found.pages_checked, 1024);
        assert!(found.vcpus[0].heartbeat > 0 && found.vcpus[0].work > 1024);
    }
}

#[test]
fn a_stale_page_is_found_wherever_it_is() {
    for workload in ["sweep", "random", "hot-cold"] {
        let (plan, ram) = worked(workload);
        for page in [0, 1, 500, 1023] {
            let address = plan.vcpus[0].base + page * PAGE_SIZE;
            let fresh = ram.load(address).unwrap();
            ram.store(address, fresh.wrapping_sub(2 * SEQUENCE_ONE)).unwrap();
            let text = integrity(&plan, &ram);
            assert!(text.contains(&format!("{address:#x}")), "{workload}, page {page}: {text}");
            ram.store(address, fresh).unwrap();
        }
    }
}

#[test]
fn pages_that_changed_places_are_found() {
    for workload in ["sweep", "random", "read-only"] {
        let (plan, ram) = worked(workload);
        let (one, other) = (plan.vcpus[0].base, plan.vcpus[0].base + 64 * PAGE_SIZE);
        let (first, second) = (ram.load(one).unwrap(), ram.load(other).unwrap());
        ram.store(one, second).unwrap();
        ram.store(other, first).unwrap();
        assert_ne!(integrity(&plan, &ram), "ok", "{workload}");
    }
}

#[test]
fn one_wrong_byte_in_the_rest_of_a_page_is_found() {
    let (plan, ram) = worked("sweep");
    let address = plan.vcpus[0].base + 77 * PAGE_SIZE + 4088;
    ram.store(address, ram.load(address).unwrap() ^ 1).unwrap();
    assert!(integrity(&plan, &ram).contains("byte 4088"));
}

#[test]
fn the_guest_finds_a_lost_write_itself() {
    for workload in ["sweep", "random", "read-only"] {
        let (plan, ram) = worked(workload);
        let address = plan.vcpus[0].base + 10 * PAGE_SIZE;
        ram.store(address, ram.load(address).unwrap() ^ (1 << 50)).unwrap();
        let log = Arc::new(SoftwareLog::new(&ram));
        let mut cpu = SyntheticCpu::new(Arc::clone(&ram), log, plan.vcpus[0]);
        let done = |words: u64| plan.vcpus[0].get(&ram, ControlBlock::Work).unwrap() >= words;
        while !done(40 * 1024) {
            cpu.run(Some(Duration::from_micros(50))).unwrap();
        }
        let found = check(&plan, &ram).unwrap();
        assert_eq!(found.violations, 1, "{workload}: {}", found.integrity);
        assert!(found.integrity.contains(&format!("{address:#x}")), "{}", found.integrity);
    }
}

#[test]
fn a_vcpu_that_computes_must_have_come_as_far_as_it_says() {
    let (plan, ram) = worked("compute");
    assert_eq!(integrity(&plan, &ram), "ok");
    let seed = plan.vcpus[0].word(ControlBlock::Seed);
    ram.store(seed, ram.load(seed).unwrap() ^ 1).unwrap();
    assert!(integrity(&plan, &ram).contains("has computed"));
}

#[test]
fn random_numbers_are_the_same_one_by_one_and_all_at_once() {
    let one_by_one = (0..1000).fold(first_seed(3), |seed, _| advanced(seed, 1));
    assert_eq!(advanced(first_seed(3), 1000), one_by_one);
    assert_eq!(advanced(7, 1), 7_u64.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT));
}
