use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use landfall_converge::{Bytes, DutyCycle, PAGE_SIZE, Pages, Throttle, VcpuThrottles};
use landfall_migrate::machine::{Destination, DirtySink, GuestMemory, Host, PageIndex, Source};
use proptest::prelude::*;

use super::*;
use crate::kvm::has_dirty_ring;
use crate::probe::ControlBlock;
use crate::synthetic::{SoftwareLog, SyntheticDirtyLog};

const PAGE: usize = 4096;

fn configuration(machine: MachineKind, workload: &str, vcpus: usize) -> Configuration {
    let workload = format!("{workload},working-set=8MiB").parse().unwrap();
    Configuration {
        machine,
        memory: Bytes(32 << 20),
        huge_pages: None,
        vcpus,
        guest: Guest::Probe(workload),
        dirty_log: DirtyLogChoice::Auto,
    }
}

pub(super) fn machine(
    kind: MachineKind,
    workload: &str,
    vcpus: usize,
) -> (Arc<Vm>, Receiver<VmEvent>) {
    machine_with(kind, "auto", workload, vcpus)
}

fn machine_with(
    kind: MachineKind,
    dirty_log: &str,
    workload: &str,
    vcpus: usize,
) -> (Arc<Vm>, Receiver<VmEvent>) {
    let (events, received) = channel();
    let dirty_log = dirty_log.parse().unwrap();
    let configuration = Configuration { dirty_log, ..configuration(kind, workload, vcpus) };
    (Vm::new(configuration, &events).unwrap(), received)
}

/// The dirty logs of the machines that this host can run. A ring as small as the kernel has it is full all the time.
fn dirty_logs() -> Vec<(MachineKind, &'static str)> {
    let mut logs = vec![(MachineKind::Synthetic, "auto"), (MachineKind::Synthetic, "bitmap")];
    if kinds().contains(&MachineKind::Kvm) {
        logs.push((MachineKind::Kvm, "bitmap"));
    }
    if has_dirty_ring() {
        logs.extend(
            ["ring", "ring,entries=1024", "ring,entries=1"].map(|log| (MachineKind::Kvm, log)),
        );
    }
    logs
}

/// The kinds of machine that this host can run.
pub(super) fn kinds() -> Vec<MachineKind> {
    match is_available() {
        Ok(()) => vec![MachineKind::Synthetic, MachineKind::Kvm],
        Err(error) => {
            eprintln!("skipping KVM: {error}");
            vec![MachineKind::Synthetic]
        }
    }
}

/// Waits until the guest has gone over its working set `laps` more times, and one that only computes has computed.
pub(super) fn run_laps(vm: &Vm, laps: f64) {
    let until = vm.laps().unwrap() + laps;
    let ranges = &vm.plan.as_ref().unwrap().vcpus;
    wait_until(|| {
        let worked = ranges.iter().all(|range| range.get(&vm.ram, ControlBlock::Work).unwrap() > 0);
        worked && vm.laps().unwrap() >= until
    });
}

fn wait_until(reached: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !reached() {
        assert!(Instant::now() < deadline, "the guest makes no progress");
        std::thread::yield_now();
    }
}

#[derive(Default)]
struct PagesSeen(BTreeSet<u64>, Vec<u64>);

impl DirtySink for PagesSeen {
    fn mark(&mut self, word: u64, bits: u64) {
        self.0.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| word * 64 + bit));
    }

    fn attribute(&mut self, vcpu: usize, pages: Pages) {
        self.1.resize(self.1.len().max(vcpu + 1), 0);
        self.1[vcpu] += pages.0;
    }
}

pub(super) fn memory_of(vm: &Vm) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(vm.configuration.memory.0).unwrap()];
    vm.ram.read_pages(PageIndex(0), &mut bytes).unwrap();
    bytes
}

#[test]
fn every_workload_runs_on_every_kind_of_machine_and_keeps_its_memory_whole() {
    for kind in kinds() {
        for workload in [
            "sweep",
            "random",
            "hot-cold",
            "read-only",
            "bursts,on=20ms,off=5ms",
            "sweep,rate=200MB/s",
            "sweep,computing=1",
        ] {
            let (vm, _events) = machine(kind, workload, 2);
            vm.resume().unwrap();
            run_laps(&vm, 2.0);
            let check = vm.check().unwrap();
            assert_eq!(check.integrity, "ok", "{kind:?} {workload}");
            assert!(check.vcpus.iter().all(|vcpu| vcpu.work > 0), "{kind:?} {workload}");
            assert_eq!(check.vcpus.len(), 2);
            run_laps(&vm, 0.1);
        }
    }
}

#[test]
fn the_dirty_log_misses_no_page_that_changed() {
    for (kind, log) in dirty_logs() {
        for workload in ["sweep", "random", "hot-cold"] {
            let what = format!("{kind:?} {log} {workload}");
            let (vm, _events) = machine_with(kind, log, workload, 2);
            vm.resume().unwrap();
            run_laps(&vm, 1.0);
            vm.pause().unwrap();
            let mut movable = Movable::new(Arc::clone(&vm));
            movable.start().unwrap();
            assert!(vm.is_logging());
            for round in 1..=4 {
                let before = memory_of(&vm);
                vm.resume().unwrap();
                run_laps(&vm, 0.3);
                // Once while it runs, and once exactly: together they must hold every page that changed.
                let mut seen = PagesSeen::default();
                movable.harvest(&mut seen).unwrap();
                vm.ram.store(20 << 20, round).unwrap();
                vm.pause().unwrap();
                movable.harvest(&mut seen).unwrap();
                let after = memory_of(&vm);
                for (page, (old, new)) in (0u64..).zip(before.chunks(PAGE).zip(after.chunks(PAGE)))
                {
                    assert!(old == new || seen.0.contains(&page), "{what}: page {page} is missing");
                }
                assert!(seen.0.len() > 100, "{what}: only {} pages", seen.0.len());
                if round == 2 {
                    // As after a migration that came to nothing: what happens meanwhile is no concern of the next.
                    movable.stop().unwrap();
                    assert!(!vm.is_logging());
                    vm.resume().unwrap();
                    run_laps(&vm, 0.3);
                    movable.start().unwrap();
                    vm.pause().unwrap();
                    movable.harvest(&mut PagesSeen::default()).unwrap();
                }
            }
            movable.stop().unwrap();
            vm.resume().unwrap();
            run_laps(&vm, 1.0);
            assert_eq!(vm.check().unwrap().integrity, "ok", "{what}");
        }
    }
}

#[test]
fn a_paused_guest_that_was_harvested_has_nothing_more_to_give() {
    for (kind, log) in dirty_logs() {
        let (vm, _events) = machine_with(kind, log, "sweep", 2);
        vm.resume().unwrap();
        let mut movable = Movable::new(Arc::clone(&vm));
        movable.start().unwrap();
        run_laps(&vm, 0.5);
        vm.pause().unwrap();
        movable.harvest(&mut PagesSeen::default()).unwrap();
        let mut again = PagesSeen::default();
        movable.harvest(&mut again).unwrap();
        assert!(again.0.is_empty(), "{kind:?} {log}: {:?}", again.0);
    }
}

#[test]
fn a_log_that_tells_vcpus_apart_says_whose_the_pages_are() {
    for (kind, log) in [(MachineKind::Synthetic, "auto"), (MachineKind::Kvm, "ring")] {
        if kind == MachineKind::Kvm && !has_dirty_ring() {
            continue;
        }
        let (vm, _events) = machine_with(kind, log, "sweep", 2);
        let mut movable = Movable::new(Arc::clone(&vm));
        movable.start().unwrap();
        vm.resume().unwrap();
        run_laps(&vm, 1.1);
        vm.pause().unwrap();
        let mut seen = PagesSeen::default();
        movable.harvest(&mut seen).unwrap();
        for (range, pages) in vm.plan.as_ref().unwrap().vcpus.iter().zip(&seen.1) {
            // All its pages, its control block, and in KVM a few of the page tables.
            let more = pages.checked_sub(range.pages + 1);
            assert!(more.is_some_and(|more| more <= 16), "{kind:?}: {:?}", seen.1);
        }
    }
}

#[test]
fn a_ring_is_refused_where_there_is_none_but_not_to_a_guest_that_comes_in() {
    let wish = |machine| Configuration {
        dirty_log: DirtyLogChoice::RING,
        ..configuration(machine, "sweep", 1)
    };
    let synthetic = wish(MachineKind::Synthetic);
    let error = Vm::new(synthetic.clone(), &channel().0).unwrap_err().to_string();
    assert!(error.contains("--dirty-log auto"), "{error}");
    let mut host = IncomingHost::new(channel().0);
    host.build(&serde_json::to_vec(&synthetic).unwrap()).unwrap();
    if is_available().is_ok() && !has_dirty_ring() {
        let error = Vm::new(wish(MachineKind::Kvm), &channel().0).unwrap_err().to_string();
        assert!(error.contains("KVM_CAP_DIRTY_LOG_RING_ACQ_REL"), "{error}");
    }
}

#[test]
fn a_guest_goes_on_in_another_machine_where_it_stopped_in_the_first() {
    for kind in kinds() {
        for workload in ["sweep", "random"] {
            let (vm, _events) = machine(kind, workload, 2);
            vm.resume().unwrap();
            run_laps(&vm, 1.3);
            vm.pause().unwrap();
            let mut source = Movable::new(Arc::clone(&vm));
            let state = source.save().unwrap();
            let mut host = IncomingHost::new(channel().0);
            let mut destination = host.build(&Source::configuration(&source)).unwrap();
            destination.memory().write_pages(PageIndex(0), &memory_of(&vm)).unwrap();
            destination.load(&state).unwrap();
            let arrived = host.machine().unwrap();
            assert_eq!(arrived.check().unwrap(), vm.check().unwrap());
            destination.resume().unwrap();
            run_laps(&arrived, 2.0);
            assert_eq!(arrived.check().unwrap().integrity, "ok", "{kind:?} {workload}");
        }
    }
}

#[test]
fn a_throttle_steals_the_share_it_names_and_its_release_gives_all_of_it_back() {
    for kind in kinds() {
        let (vm, _events) = machine(kind, "sweep", 2);
        vm.resume().unwrap();
        let throttle = vm.throttle();
        throttle.reset_stolen();
        let duty = DutyCycle::bounded(Throttle::new(0.8), Duration::from_millis(10)).unwrap();
        throttle.set(&VcpuThrottles::Uniform(duty));
        let began = Instant::now();
        wait_until(|| throttle.stolen().iter().all(|vcpu| vcpu.total > Duration::from_millis(200)));
        // Held back for 80 % of the time, so 200 ms take 250 ms; a busy host makes it longer, never shorter.
        assert!(began.elapsed() > Duration::from_millis(220), "{kind:?}: {:?}", began.elapsed());
        throttle.set(&VcpuThrottles::Released);
        wait_until(|| vm.vcpu_states() == [RunState::Running; 2]);
        let stolen = throttle.stolen();
        run_laps(&vm, 1.0);
        assert_eq!(throttle.stolen(), stolen, "{kind:?}: nothing is stolen after the release");
        assert_eq!(vm.vcpu_states(), [RunState::Running; 2]);
    }
}

#[test]
fn a_damaged_state_is_refused_and_says_so() {
    for kind in kinds() {
        let (vm, _events) = machine(kind, "sweep", 2);
        let mut source = Movable::new(Arc::clone(&vm));
        let state = source.save().unwrap();
        let (other, _events) = machine(kind, "sweep", 1);
        let mut other = Movable::new(other);
        assert!(other.load(&state).unwrap_err().to_string().contains("2 vCPUs"));
        assert!(other.load(&state[..state.len() / 2]).is_err());
    }
}

#[test]
fn a_guest_that_crashes_is_reported_and_cannot_run_again() {
    if !kinds().contains(&MachineKind::Kvm) {
        return;
    }
    let (vm, events) = machine(MachineKind::Kvm, "sweep", 1);
    // Without its program the guest runs into zeros, and without an interrupt table any fault is a triple fault.
    vm.ram.store(probe::ROOT_TABLE, 0).unwrap();
    vm.resume().unwrap();
    let event = events.recv_timeout(Duration::from_secs(20)).unwrap();
    let VmEvent::Ended(why) = event else { panic!("{event:?}") };
    assert!(why.to_string().contains("triple fault"), "{why}");
    assert!(matches!(vm.resume(), Err(VmError::Ended)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_software_log_gives_exactly_what_a_naive_set_would(
        writes in prop::collection::vec((0u64..8192, prop::bool::ANY), 1..300),
    ) {
        let ram = Arc::new(GuestRam::new(Bytes(32 << 20)).unwrap());
        let log = Arc::new(SoftwareLog::new(&ram));
        let mut harvester = SyntheticDirtyLog::new(vec![Arc::clone(&log)], Arc::clone(&ram), true);
        let mut naive = BTreeSet::new();
        for (page, by_monitor) in writes {
            if by_monitor {
                ram.store(page * PAGE_SIZE, 1).unwrap();
            } else {
                log.mark(page * PAGE_SIZE);
            }
            naive.insert(page);
        }
        let mut seen = PagesSeen::default();
        harvester.harvest(&mut seen).unwrap();
        prop_assert_eq!(&seen.0, &naive);
        let mut again = PagesSeen::default();
        harvester.harvest(&mut again).unwrap();
        prop_assert!(again.0.is_empty());
    }
}

#[test]
fn the_control_block_counts_what_the_guest_did() {
    for kind in kinds() {
        let (vm, _events) = machine(kind, "sweep", 1);
        vm.resume().unwrap();
        run_laps(&vm, 2.0);
        vm.pause().unwrap();
        let get = |word| vm.plan.as_ref().unwrap().vcpus[0].get(&vm.ram, word).unwrap();
        let laps = get(ControlBlock::Work) / get(ControlBlock::Pages);
        assert!(laps.abs_diff(get(ControlBlock::Lap)) <= 1, "{kind:?}");
    }
}
