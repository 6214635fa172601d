//! The guest that checks itself, in a QEMU on KVM, the memory of which can be looked into from outside.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use landfall_converge::Bytes;
use landfall_vmm::memory::GuestRam;
use landfall_vmm::{kvm, probe};

const MEMORY: Bytes = Bytes(256 << 20);

/// What runs in the QEMU.
#[derive(Debug)]
pub(crate) struct Guest {
    plan: probe::Plan,
    elf: PathBuf,
}

impl Guest {
    /// Writes it into a file below `folder`.
    pub(crate) fn write(folder: &Path, workload: &str) -> Self {
        let ram = GuestRam::new(MEMORY).unwrap();
        let plan = probe::Plan::new(workload.parse().unwrap(), 1, &ram).unwrap();
        let elf = folder.join("guest.elf");
        let hz = kvm::tsc_frequency().expect("these tests need KVM");
        fs::write(&elf, probe::elf(&plan, &ram, hz).unwrap()).unwrap();
        Self { plan, elf }
    }

    /// The arguments of a QEMU for it.
    pub(crate) fn machine(&self) -> Vec<String> {
        let megabytes = MEMORY.0 >> 20;
        let memory = format!("memory-backend-memfd,id=ram,size={megabytes}M,share=on");
        let machine =
            ["-accel", "kvm", "-machine", "microvm,memory-backend=ram", "-object", &memory];
        let guest = ["-m".to_owned(), format!("{megabytes}M"), "-kernel".to_owned()];
        let elf = self.elf.to_string_lossy().into_owned();
        machine.map(str::to_owned).into_iter().chain(guest).chain([elf]).collect()
    }

    /// Returns when the guest of this QEMU has been over its working set once.
    pub(crate) fn wait_until_at_work(&self, qemu: u32, patience: Duration) {
        let deadline = Instant::now() + patience;
        let range = &self.plan.vcpus[0];
        let work = |ram| range.get(&ram, probe::ControlBlock::Work).unwrap();
        while ram(qemu).is_none_or(|ram| work(ram) < range.pages) {
            assert!(Instant::now() < deadline, "the guest does not run");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The guest in this QEMU, which must be stopped, has lost nothing.
    pub(crate) fn assert_whole(&self, qemu: u32) {
        assert_eq!(probe::check(&self.plan, &ram(qemu).unwrap()).unwrap().integrity, "ok");
    }
}

/// The memory of the guest in this QEMU, once it has it.
fn ram(qemu: u32) -> Option<GuestRam> {
    let descriptors = fs::read_dir(format!("/proc/{qemu}/fd")).unwrap();
    let mut paths = descriptors.map(|entry| entry.unwrap().path());
    let memory = paths.find(|path| {
        let target = fs::read_link(path).unwrap_or_default();
        target.to_string_lossy().starts_with("/memfd:memory-backend-memfd")
    });
    let file = File::options().read(true).write(true).open(memory?).unwrap();
    GuestRam::of_file(file).ok()
}
