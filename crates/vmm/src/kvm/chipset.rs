//! The interrupt controllers, the timer and the clock of a PC, all of them in the kernel.

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_PIT_SPEAKER_DUMMY,
    kvm_clock_data, kvm_irqchip, kvm_pit_config, kvm_pit_state2,
};
use serde::{Deserialize, Serialize};

use super::vm::{KvmError, KvmVm, refused};

/// Pages that KVM needs on some processors: inside the hole for devices, where no memory is.
const TASK_STATE_SEGMENT: usize = 0xFFFB_D000;
const IDENTITY_MAP: u64 = 0xFFFB_C000;

const CONTROLLERS: [u32; 3] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];

/// What of a machine's chipset travels. The parts are the kernel's own structures, which are its stable interface.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedChipset {
    /// Both old interrupt controllers and the I/O APIC.
    controllers: Vec<kvm_irqchip>,
    timer: kvm_pit_state2,
    /// The guest's clock in nanoseconds.
    clock_ns: u64,
}

impl PartialEq for SavedChipset {
    /// The controllers are a union, which only compares by what it is written as.
    fn eq(&self, other: &Self) -> bool {
        serde_json::to_value(self).ok() == serde_json::to_value(other).ok()
    }
}

impl KvmVm {
    /// Gives the machine its chipset. Must come before its vCPUs.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn add_chipset(&mut self) -> Result<(), KvmError> {
        let fd = self.fd();
        fd.set_identity_map_address(IDENTITY_MAP).map_err(refused("take the identity map"))?;
        fd.set_tss_address(TASK_STATE_SEGMENT).map_err(refused("take the task state segment"))?;
        fd.create_irq_chip().map_err(refused("make interrupt controllers"))?;
        let timer = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
        fd.create_pit2(timer).map_err(refused("make a timer"))?;
        self.set_chipset();
        Ok(())
    }

    /// Raises interrupt `line` once, as on a line that is sensitive to edges. The interrupt controllers have it when
    /// this returns, so that none is lost between a device and the controllers when the machine is stopped.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn pulse(&self, line: u32) -> Result<(), KvmError> {
        let set = |up| self.fd().set_irq_line(line, up).map_err(refused("raise an interrupt"));
        set(true)?;
        set(false)
    }

    /// The chipset's state; all vCPUs are stopped.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn save_chipset(&self) -> Result<SavedChipset, KvmError> {
        let controller = |chip_id| {
            let mut controller = kvm_irqchip { chip_id, ..Default::default() };
            let read = self.fd().get_irqchip(&mut controller);
            read.map(|()| controller).map_err(refused("read an interrupt controller"))
        };
        Ok(SavedChipset {
            controllers: CONTROLLERS.into_iter().map(controller).collect::<Result<_, _>>()?,
            timer: self.fd().get_pit2().map_err(refused("read the timer"))?,
            clock_ns: self.fd().get_clock().map_err(refused("read the clock"))?.clock,
        })
    }

    /// Gives the chipset this state. The clock goes on from where it stood when it was saved, so that the guest never
    /// sees it jump, neither back nor ahead.
    ///
    /// # Errors
    /// When KVM refuses.
    pub fn load_chipset(&self, saved: &SavedChipset) -> Result<(), KvmError> {
        for controller in &saved.controllers {
            self.fd().set_irqchip(controller).map_err(refused("take an interrupt controller"))?;
        }
        self.fd().set_pit2(&saved.timer).map_err(refused("take the timer"))?;
        let clock = kvm_clock_data { clock: saved.clock_ns, ..Default::default() };
        self.fd().set_clock(&clock).map_err(refused("take the clock"))
    }
}
