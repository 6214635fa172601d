//! Puts a PC together.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::{Contents, Parts, spawn};
use crate::devices::{Ballooning, Disk, Line, Port};
use crate::kvm::{DirtyTracking, KvmCpu, KvmVm};
use crate::machine::{HostSide, KernelGuest, VmError, VmEvent};
use crate::memory::GuestRam;
use crate::pc::{MAX_DEVICES, MAX_VCPUS, PcBoard, PcDevices, Processor, boot, features};

/// A PC with `vcpus` vCPUs; a new one has a kernel in it.
pub(in crate::machine) fn machine(
    host: &HostSide,
    guest: &KernelGuest,
    vcpus: usize,
    ram: &Arc<GuestRam>,
    tracking: DirtyTracking,
    contents: Contents,
    events: &Sender<VmEvent>,
) -> Result<Parts, VmError> {
    if vcpus == 0 || vcpus > MAX_VCPUS {
        return Err(VmError::TooManyVcpus(vcpus, MAX_VCPUS));
    }
    let devices = guest.disks.len() + guest.cards.len();
    if devices > MAX_DEVICES {
        return Err(VmError::TooManyDevices(devices, MAX_DEVICES));
    }
    let disks = guest.disks.iter().map(|disk| Disk::open(disk).map(Arc::new));
    let disks = disks.collect::<Result<Vec<_>, _>>()?;
    let ports = guest.cards.iter().map(|card| Port::new(card).map(Arc::new));
    let ports = ports.collect::<Result<Vec<_>, _>>()?;
    if contents == Contents::Fresh {
        // Before the kernel is loaded: who has given a disk to two machines is to hear of it at once.
        disks.iter().try_for_each(|disk| disk.lock())?;
        ports.iter().try_for_each(|port| port.claim())?;
    } else {
        disks.iter().for_each(|disk| disk.forget_what_was_read());
    }
    let mut vm = KvmVm::new(Arc::clone(ram), tracking)?;
    vm.add_chipset()?;
    let vm = Arc::new(vm);
    let on_board = PcDevices {
        serial: Arc::clone(&host.serial),
        disks,
        ports,
        random: guest.random,
        balloon: guest.balloon.then(|| balloon(ram, events)),
        console: guest.console.then(|| console(host)),
    };
    let board = Arc::new(PcBoard::new(&vm, ram, on_board).map_err(VmError::Thread)?);
    let supported = vm.supported_cpuid()?;
    let seen_here = Processor::of(&features(&supported, 0, vcpus).ok_or(VmError::Features)?);
    if let Some(seen) = &guest.processor {
        let lacking = seen.lacking_in(&seen_here);
        if !lacking.is_empty() {
            return Err(VmError::Lacking(lacking.join(", ")));
        }
    }
    let cpus = (0..vcpus)
        .map(|index| {
            let features = features(&supported, index, vcpus).ok_or(VmError::Features)?;
            Ok(KvmCpu::with_features(&vm, index, Arc::clone(&board) as _, &features)?)
        })
        .collect::<Result<Vec<_>, VmError>>()?;
    if contents == Contents::Fresh {
        let files = host.boot.as_ref().ok_or(VmError::NoKernel)?;
        let others = [guest.random, guest.balloon, guest.console].map(usize::from);
        let entry = boot(files, ram, vcpus, devices + others.iter().sum::<usize>())?;
        for cpu in &cpus {
            cpu.set_as_firmware_does()?;
        }
        // The others wait until the kernel starts them.
        if let Some(first) = cpus.first() {
            first.enter_flat(&entry)?;
        }
    }
    let (vcpus, gates) = spawn(cpus, events)?;
    Ok(Parts { vcpus, gates, dirty_log: vm.dirty_log(), board, processor: Some(seen_here) })
}

/// What a guest with `ram` gives up of it.
fn balloon(ram: &GuestRam, events: &Sender<VmEvent>) -> Ballooning {
    let events = events.clone();
    // Nobody listening means that the process is ending anyway.
    let changed = move || drop(events.send(VmEvent::BalloonChanged));
    Ballooning::new(ram.size(), Box::new(changed))
}

/// Where the console leads: nowhere for a guest that comes to a host where nobody has said.
fn console(host: &HostSide) -> Arc<Line> {
    host.console.clone().unwrap_or_else(|| {
        tracing::warn!(
            "the guest has a console, and it leads nowhere here; give the process --console"
        );
        Arc::new(Line::to(Box::new(std::io::sink())))
    })
}
