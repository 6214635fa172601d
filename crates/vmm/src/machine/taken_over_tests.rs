//! Machines around the memory in which the guest of another one runs.

use landfall_migrate::machine::{Destination, Host, Source};
use serde_json::json;

use super::pc_tests::{Bare, has_kvm};
use super::tests::{kinds, machine, memory_of, run_laps};
use super::*;

/// Another machine with the memory of `vm`, which goes on as it was.
fn taken_over(vm: &Arc<Vm>) -> (Box<dyn Destination>, Arc<Vm>) {
    let source = Movable::new(Arc::clone(vm));
    let mut host = IncomingHost::new(std::sync::mpsc::channel().0);
    let files = source.memory_files().unwrap();
    let destination = host.take_over(&Source::configuration(&source), files).unwrap();
    (destination, host.machine().unwrap())
}

#[test]
fn a_guest_goes_on_in_the_same_memory_where_it_stopped() {
    for kind in kinds() {
        for workload in ["sweep", "random"] {
            let (vm, _events) = machine(kind, workload, 2);
            vm.resume().unwrap();
            run_laps(&vm, 0.5);
            // Made while the guest runs, which must not notice.
            let (mut destination, arrived) = taken_over(&vm);
            run_laps(&vm, 0.5);
            vm.pause().unwrap();
            let before = memory_of(&vm);
            destination.load(&Movable::new(Arc::clone(&vm)).save_here().unwrap()).unwrap();
            assert!(memory_of(&vm) == before, "{kind:?} {workload}: loading wrote to memory");
            assert_eq!(arrived.check().unwrap(), vm.check().unwrap());
            destination.resume().unwrap();
            drop(vm);
            run_laps(&arrived, 2.0);
            assert_eq!(arrived.check().unwrap().integrity, "ok", "{kind:?} {workload}");
        }
    }
}

#[test]
fn a_guest_that_is_not_given_away_after_all_goes_on_where_it_was() {
    for kind in kinds() {
        let (vm, _events) = machine(kind, "sweep", 2);
        vm.resume().unwrap();
        run_laps(&vm, 1.0);
        let (mut destination, arrived) = taken_over(&vm);
        assert!(vm.hold().unwrap());
        destination.load(&Movable::new(Arc::clone(&vm)).save_here().unwrap()).unwrap();
        drop((destination, arrived));
        vm.release().unwrap();
        run_laps(&vm, 2.0);
        assert_eq!(vm.check().unwrap().integrity, "ok", "{kind:?}");
    }
}

#[test]
fn memory_of_another_size_is_refused() {
    let (vm, _events) = machine(MachineKind::Synthetic, "sweep", 1);
    let source = Movable::new(vm);
    let mut told: serde_json::Value =
        serde_json::from_slice(&Source::configuration(&source)).unwrap();
    told["memory"] = json!(64 << 20);
    let mut host = IncomingHost::new(std::sync::mpsc::channel().0);
    let told = serde_json::to_vec(&told).unwrap();
    let refused = host.take_over(&told, source.memory_files().unwrap()).err().unwrap();
    assert!(refused.to_string().contains("not laid out as that of a guest"), "{refused}");
    assert!(host.machine().is_none());
}

/// Registers by which a guest has KVM write into its memory, as Linux does: the time of day, the clock, and both by their older
/// numbers. Nobody else uses this part of the memory.
const PARAVIRTUAL: [(u32, u64); 3] =
    [(0x11, 30 << 20), (0x4B56_4D00, (30 << 20) + 64), (0x4B56_4D01, (30 << 20) + 128 + 1)];

#[test]
fn a_pc_writes_nothing_before_it_runs_whatever_its_guest_has_asked_kvm_for() {
    if !has_kvm() {
        return;
    }
    let bare = Bare::new();
    let (vm, _events) = bare.machine();
    vm.resume().unwrap();
    bare.run_a_lap(&vm);
    let (mut destination, arrived) = taken_over(&vm);
    vm.pause().unwrap();
    let before = memory_of(&vm);
    let mut state: serde_json::Value =
        serde_json::from_slice(&Movable::new(Arc::clone(&vm)).save_here().unwrap()).unwrap();
    for vcpu in state["vcpus"].as_array_mut().unwrap() {
        let msrs = vcpu["msrs"].as_array_mut().unwrap();
        msrs.retain(|msr| PARAVIRTUAL.iter().all(|(index, _)| msr["index"] != *index));
        msrs.extend(PARAVIRTUAL.map(|(index, value)| json!({ "index": index, "value": value })));
    }
    destination.load(&serde_json::to_vec(&state).unwrap()).unwrap();
    assert!(memory_of(&vm) == before, "loading wrote to memory in which the guest may yet go on");
    destination.resume().unwrap();
    drop(vm);
    bare.run_a_lap(&arrived);
    arrived.pause().unwrap();
    assert_eq!(bare.integrity(&arrived), "ok");
    // The clock is told once the guest runs: the registers did arrive.
    assert_ne!(arrived.ram.load((30 << 20) + 128 + 16).unwrap(), 0);
}
