use std::sync::mpsc::channel;

use landfall_converge::simulator::Workload;
use landfall_migrate::machine::MachineKind;

use super::*;
use crate::machine::{Configuration, Movable, Vm};

fn machine(workload: &str) -> std::sync::Arc<Vm> {
    let (events, _) = channel();
    let configuration = Configuration {
        machine: MachineKind::Synthetic,
        memory: Bytes(64 << 20),
        huge_pages: None,
        vcpus: 1,
        guest: crate::machine::Guest::Probe(workload.parse().unwrap()),
        dirty_log: crate::machine::DirtyLogChoice::Auto,
    };
    let vm = Vm::new(configuration, &events).unwrap();
    vm.resume().unwrap();
    vm
}

fn measured(workload: &str) -> Measured {
    let vm = machine(workload);
    let (_keep, cancelled) = channel();
    let lasting = Duration::from_millis(1000);
    let measured = measure(&mut Movable::new(vm.clone()), lasting, &cancelled).unwrap();
    assert!(!vm.is_logging(), "the dirty log must be off afterwards");
    assert!(measured.time >= lasting, "{:?}", measured.time);
    measured
}

#[test]
fn a_sweep_at_a_steady_speed_is_seen_as_one() {
    let measured = measured("sweep,working-set=16MiB,rate=100MB/s");
    let load = measured.measurement.load();
    let Workload::Sweep { set } = load.workload else { panic!("{load:?}") };
    let megabytes = load.rate.bytes_per_second() / 1e6;
    assert!((70.0..130.0).contains(&megabytes), "{load:?}");
    assert!((15 << 20..18 << 20).contains(&set.0), "{set}");
    assert!(load.is_bounded);
}

#[test]
fn windows_grow_with_their_length_and_the_shortest_is_a_part_of_a_tick() {
    let Measured { measurement, distinct, .. } = measured("random,working-set=16MiB,rate=200MB/s");
    let windows = &measurement.windows;
    assert!(windows.windows(2).all(|pair| pair[0].0 < pair[1].0), "{windows:?}");
    assert!(windows.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{windows:?}");
    assert!(windows[0].0 < TICK / 2, "{windows:?}");
    assert_eq!(windows.last().unwrap().1, distinct);
}

#[test]
fn memory_that_nobody_wrote_is_counted_as_zero() {
    let measured = measured("sweep,working-set=16MiB");
    let non_zero = measured.measurement.non_zero.0 >> 20;
    assert!((15..=20).contains(&non_zero), "{non_zero} MiB");
    assert_eq!(measured.measurement.memory, Bytes(64 << 20));
}

#[test]
fn one_that_is_called_off_leaves_the_dirty_log_off() {
    let vm = machine("sweep,working-set=16MiB");
    let (cancel, cancelled) = channel();
    drop(cancel);
    let result = measure(&mut Movable::new(vm.clone()), Duration::from_secs(60), &cancelled);
    assert!(matches!(result, Err(MeasureError::Cancelled)));
    assert!(!vm.is_logging());
}
