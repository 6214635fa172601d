//! PCs with a bare kernel in them that is no Linux: the probe as a PVH file, which starts its vCPUs as any system does.

use std::io::{self, Write};
use std::sync::Mutex;

use landfall_converge::Bytes;
use landfall_migrate::machine::{Destination, GuestMemory, Host, PageIndex, Source};

use super::*;
use crate::devices::Line;
use crate::pc::{BootFiles, PcBoard, PcDevices};
use crate::probe::Workload;

const MEMORY: Bytes = Bytes(32 << 20);
const VCPUS: usize = 2;

/// A folder with the probe as a file, and where everything of it lies.
pub(super) struct Bare {
    folder: tempfile::TempDir,
    plan: Plan,
}

impl Bare {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ram = GuestRam::new(MEMORY).unwrap();
        let workload = Workload { working_set: Bytes(4 << 20), ..Workload::default() };
        let plan = Plan::new(workload, VCPUS, &ram).unwrap();
        let elf = probe::elf(&plan, &ram, 1_000_000_000).unwrap();
        std::fs::write(folder.path().join("kernel"), elf).unwrap();
        Self { folder, plan }
    }

    pub(super) fn machine(&self) -> (Arc<Vm>, std::sync::mpsc::Receiver<VmEvent>) {
        self.machine_with(KernelGuest::default())
    }

    fn machine_with(&self, guest: KernelGuest) -> (Arc<Vm>, std::sync::mpsc::Receiver<VmEvent>) {
        let kernel = self.folder.path().join("kernel");
        let boot = Some(BootFiles { kernel, ..BootFiles::default() });
        let (events, received) = std::sync::mpsc::channel();
        let host = HostSide { boot, ..HostSide::default() };
        let wanted =
            Configuration { guest: Guest::Kernel(guest), ..configuration(MachineKind::Kvm) };
        (Vm::on(&host, wanted, &events).unwrap(), received)
    }

    /// Waits until every vCPU has been over its pages once more.
    pub(super) fn run_a_lap(&self, vm: &Vm) {
        let work = |vcpu: usize| self.plan.vcpus[vcpu].get(&vm.ram, probe::ControlBlock::Work);
        let before: Vec<_> = (0..VCPUS).map(|vcpu| work(vcpu).unwrap()).collect();
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        for (vcpu, before) in before.into_iter().enumerate() {
            while work(vcpu).unwrap() < before + self.plan.vcpus[vcpu].pages {
                assert!(std::time::Instant::now() < deadline, "vCPU {vcpu} makes no progress");
                std::thread::yield_now();
            }
        }
    }

    pub(super) fn integrity(&self, vm: &Vm) -> String {
        probe::check(&self.plan, &vm.ram).unwrap().integrity
    }
}

fn configuration(machine: MachineKind) -> Configuration {
    Configuration {
        machine,
        memory: MEMORY,
        huge_pages: None,
        vcpus: VCPUS,
        guest: Guest::Kernel(KernelGuest::default()),
        dirty_log: DirtyLogChoice::Auto,
    }
}

pub(super) fn has_kvm() -> bool {
    is_available().inspect_err(|error| eprintln!("skipping KVM: {error}")).is_ok()
}

#[test]
fn a_kernel_that_is_not_linux_boots_and_starts_its_other_vcpus() {
    if !has_kvm() {
        return;
    }
    let bare = Bare::new();
    let (vm, _events) = bare.machine();
    vm.resume().unwrap();
    bare.run_a_lap(&vm);
    vm.pause().unwrap();
    assert_eq!(bare.integrity(&vm), "ok");
    assert!(matches!(vm.check(), Err(VmError::NoProbe)));
    assert!(matches!(vm.laps(), Err(VmError::NoProbe)));
}

#[test]
fn a_pc_goes_on_in_another_process_where_it_stopped() {
    if !has_kvm() {
        return;
    }
    let bare = Bare::new();
    let (vm, _events) = bare.machine();
    vm.resume().unwrap();
    bare.run_a_lap(&vm);
    vm.pause().unwrap();
    let mut source = Movable::new(Arc::clone(&vm));
    let state = source.save().unwrap();
    let mut host = IncomingHost::new(std::sync::mpsc::channel().0);
    let mut destination = host.build(&Source::configuration(&source)).unwrap();
    let mut memory = vec![0; usize::try_from(MEMORY.0).unwrap()];
    vm.ram.read_pages(PageIndex(0), &mut memory).unwrap();
    destination.memory().write_pages(PageIndex(0), &memory).unwrap();
    destination.load(&state).unwrap();
    let arrived = host.machine().unwrap();
    // What was loaded is what was saved, but for the clock, which goes on.
    let again = Movable::new(Arc::clone(&arrived)).save().unwrap();
    let fields = |state: &[u8]| {
        let state: serde_json::Value = serde_json::from_slice(state).unwrap();
        let vcpu = &state["vcpus"][1];
        let clock = state["devices"]["chipset"]["clock_ns"].as_u64().unwrap();
        (state["devices"]["serial"].clone(), vcpu["sregs"].clone(), vcpu["mp_state"].clone(), clock)
    };
    let (saved, loaded) = (fields(&state), fields(&again));
    assert_eq!((&saved.0, &saved.1, &saved.2), (&loaded.0, &loaded.1, &loaded.2));
    assert!(loaded.3 >= saved.3, "the clock went back");
    destination.resume().unwrap();
    bare.run_a_lap(&arrived);
    arrived.pause().unwrap();
    assert_eq!(bare.integrity(&arrived), "ok");
}

#[test]
fn a_guest_of_the_version_before_goes_on_here() {
    if !has_kvm() {
        return;
    }
    let bare = Bare::new();
    let (vm, _events) = bare.machine();
    vm.resume().unwrap();
    bare.run_a_lap(&vm);
    vm.pause().unwrap();
    let mut source = Movable::new(Arc::clone(&vm));
    let as_before = |bytes: Vec<u8>| {
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert!(value.as_object_mut().unwrap().remove("form").is_some());
        serde_json::to_vec(&value).unwrap()
    };
    let (told, state) =
        (as_before(Source::configuration(&source)), as_before(source.save_here().unwrap()));
    let mut host = IncomingHost::new(std::sync::mpsc::channel().0);
    let mut destination = host.take_over(&told, source.memory_files().unwrap()).unwrap();
    destination.load(&state).unwrap();
    destination.resume().unwrap();
    drop((source, vm));
    let arrived = host.machine().unwrap();
    bare.run_a_lap(&arrived);
    arrived.pause().unwrap();
    assert_eq!(bare.integrity(&arrived), "ok");
}

#[test]
fn a_pc_with_a_balloon_and_a_console_takes_both_with_it() {
    if !has_kvm() {
        return;
    }
    let bare = Bare::new();
    let guest = KernelGuest { balloon: true, console: true, ..KernelGuest::default() };
    let (vm, _events) = bare.machine_with(guest);
    assert_eq!(vm.kept_memory().unwrap(), MEMORY);
    vm.ask_to_keep(Bytes(24 << 20)).unwrap();
    let mut source = Movable::new(Arc::clone(&vm));
    vm.hold().unwrap();
    // It would be told only at one of the two ends.
    assert!(matches!(vm.ask_to_keep(Bytes(8 << 20)), Err(VmError::Held)));
    let state = source.save().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&Source::configuration(&source)).unwrap();
    assert_eq!(
        (&told["kernel"]["balloon"], &told["kernel"]["console"]),
        (&true.into(), &true.into())
    );
    let mut host = IncomingHost::new(std::sync::mpsc::channel().0);
    let mut destination = host.build(&serde_json::to_vec(&told).unwrap()).unwrap();
    destination.load(&state).unwrap();
    let again = Movable::new(host.machine().unwrap()).save().unwrap();
    let devices = |state: &[u8]| {
        let state: serde_json::Value = serde_json::from_slice(state).unwrap();
        (state["devices"]["balloon"].clone(), state["devices"]["console"].clone())
    };
    assert_eq!(devices(&state), devices(&again));
    assert_eq!(devices(&state).0["asked"], (8 << 20) / 4096);
    // A machine without them does not take the guest, and says for want of what.
    let mut bare_state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    bare_state["devices"].as_object_mut().unwrap().remove("balloon");
    let error = destination.load(&serde_json::to_vec(&bare_state).unwrap()).unwrap_err();
    assert!(error.to_string().contains("a balloon"), "{error}");
    let (vm, _events) = bare.machine();
    assert!(matches!(vm.kept_memory(), Err(VmError::NoBalloon)));
}

#[test]
fn a_state_without_interrupt_controllers_is_refused() {
    if !has_kvm() {
        return;
    }
    let (vm, _events) = Bare::new().machine();
    let state = Movable::new(Arc::clone(&vm)).save().unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state["devices"].as_object_mut().unwrap().remove("chipset");
    let error = Movable::new(vm).load(&serde_json::to_vec(&state).unwrap()).unwrap_err();
    assert!(error.to_string().contains("no interrupt controllers"), "{error}");
}

#[test]
fn a_kernel_runs_in_kvm_only_and_a_pc_has_as_many_vcpus_as_its_tables_can_name() {
    let (events, _) = std::sync::mpsc::channel();
    let error = Vm::new(configuration(MachineKind::Synthetic), &events).unwrap_err();
    assert!(error.to_string().contains("--machine kvm"), "{error}");
    if has_kvm() {
        let many = Configuration { vcpus: 255, ..configuration(MachineKind::Kvm) };
        let error = Vm::new(many, &events).unwrap_err();
        assert!(error.to_string().contains("1 to 254"), "{error}");
        let error = Vm::new(configuration(MachineKind::Kvm), &events).unwrap_err();
        assert!(error.to_string().contains("--kernel"), "{error}");
    }
}

#[test]
fn what_a_guest_is_reads_back_as_it_is_written_and_a_probe_as_it_always_was() {
    let kernel = configuration(MachineKind::Kvm);
    let text = serde_json::to_string(&kernel).unwrap();
    assert_eq!(serde_json::from_str::<Configuration>(&text).unwrap(), kernel);
    let probe = Configuration { guest: Guest::Probe(Workload::default()), ..kernel };
    let value = serde_json::to_value(&probe).unwrap();
    assert!(value["workload"]["pattern"].is_string(), "{value}");
    assert_eq!(serde_json::from_value::<Configuration>(value).unwrap(), probe);
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_registers_of_a_pc_end_the_guest_and_its_serial_port_speaks() {
    if !has_kvm() {
        return;
    }
    let ram = Arc::new(GuestRam::new(MEMORY).unwrap());
    let mut vm =
        crate::kvm::KvmVm::new(Arc::clone(&ram), crate::kvm::DirtyTracking::Bitmap).unwrap();
    vm.add_chipset().unwrap();
    let heard = Heard::default();
    let serial = Arc::new(Line::to(Box::new(heard.clone())));
    let wanted = PcDevices { serial, ..PcDevices::default() };
    let board = PcBoard::new(&Arc::new(vm), &ram, wanted).unwrap();
    // Power-off is sleep type 5; another one, or no order to sleep, is nothing.
    assert_eq!(board.write_port(0x604, &[5 << 2 | 1 << 5]), Some(Ending::PowerOff));
    assert_eq!(board.write_port(0x604, &[3 << 2 | 1 << 5]), None);
    assert_eq!(board.write_port(0x604, &[5 << 2]), None);
    assert_eq!(board.write_port(0x608, &[1]), Some(Ending::Reset));
    assert_eq!(board.write_port(0x64, &[0xFE]), Some(Ending::Reset));
    assert_eq!(board.write_port(0x3F8, b"!"), None);
    assert_eq!(*heard.0.lock().unwrap(), b"!");
    let mut nothing = [0; 4];
    board.read_port(0xCF8, &mut nothing);
    assert_eq!(nothing, [0xFF; 4]);
    board.read_memory(0xD000_0000, &mut nothing);
    assert_eq!(nothing, [0xFF; 4]);
}

#[test]
fn a_guest_goes_only_where_all_is_that_it_has_seen_of_its_processor() {
    if !has_kvm() {
        return;
    }
    let (vm, _events) = Bare::new().machine();
    let mut told: serde_json::Value =
        serde_json::from_slice(&Source::configuration(&Movable::new(vm))).unwrap();
    let mut host = IncomingHost::new(std::sync::mpsc::channel().0);
    assert!(host.build(&serde_json::to_vec(&told).unwrap()).is_ok());
    // A guest from a host that has something which this program has not even heard of.
    let later = serde_json::json!({ "leaf": 0x24, "index": 0, "register": 1, "bits": 1 << 16 });
    told["kernel"]["processor"]["features"].as_array_mut().unwrap().push(later);
    let error = host.build(&serde_json::to_vec(&told).unwrap()).err().unwrap();
    assert!(error.to_string().contains("CPUID 0x24.0 ebx bit 16"), "{error}");
    // One from a version that did not tell is taken.
    told["kernel"] = serde_json::json!({});
    assert!(host.build(&serde_json::to_vec(&told).unwrap()).is_ok());
}
