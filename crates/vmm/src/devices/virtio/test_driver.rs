//! What the drivers of tests have in common.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_converge::Bytes;
use vm_memory::{ByteValued, Bytes as _, GuestAddress};

use super::device::VirtioDevice;
use super::{Model, registers};
use crate::devices::Interrupt;
use crate::memory::GuestRam;

const PATIENCE: Duration = Duration::from_secs(60);

struct Told(Mutex<Sender<()>>);

impl Interrupt for Told {
    fn raise(&self) -> io::Result<()> {
        self.0.lock().unwrap().send(()).map_err(io::Error::other)
    }
}

/// A device in a machine of its own, and the guest's view of it.
pub(super) struct Driver {
    pub(super) ram: Arc<GuestRam>,
    pub(super) device: VirtioDevice,
    pub(super) interrupts: Receiver<()>,
}

impl Driver {
    /// `model` in a machine of its own.
    pub(super) fn of(model: impl Model + 'static) -> Self {
        Self::with(&Arc::new(GuestRam::new(Bytes(2 << 20)).unwrap()), model)
    }

    /// `model` in a machine that has `ram`.
    pub(super) fn with(ram: &Arc<GuestRam>, model: impl Model + 'static) -> Self {
        let (sender, interrupts) = channel();
        let told = Arc::new(Told(Mutex::new(sender)));
        let device = VirtioDevice::new(Box::new(model), ram, told).unwrap();
        Self { ram: Arc::clone(ram), device, interrupts }
    }

    pub(super) fn get(&self, register: u64) -> u32 {
        let mut bytes = [0; 4];
        self.device.read(register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(super) fn set(&self, register: u64, value: u32) {
        self.device.write(register, &value.to_le_bytes());
    }

    /// Agrees to `features` and the standard itself.
    pub(super) fn agree(&self, features: u32) {
        self.set(registers::STATUS, 3);
        self.set(registers::AGREED, features);
        self.set(registers::AGREED_HALF, 1);
        self.set(registers::AGREED, 1);
        self.set(registers::STATUS, 11);
        assert_eq!(self.get(registers::STATUS), 11);
    }

    /// Sets up a queue of eight entries: where descriptors are, what is given, and what comes back.
    pub(super) fn set_up_queue(&self, queue: u64, places: [u64; 3]) {
        self.set(registers::QUEUE_SELECT, u32::try_from(queue).unwrap());
        self.set(registers::QUEUE_SIZE, 8);
        let rings = [registers::DESCRIPTORS_LOW, registers::AVAILABLE_LOW, registers::USED_LOW];
        for (register, place) in rings.into_iter().zip(places) {
            self.set(register, u32::try_from(place).unwrap());
        }
        self.set(registers::QUEUE_READY, 1);
        assert_eq!(self.get(registers::QUEUE_READY), 1);
    }

    pub(super) fn write<T: ByteValued>(&self, address: u64, value: T) {
        self.ram.map().write_obj(value, GuestAddress(address)).unwrap();
    }

    pub(super) fn read<T: ByteValued>(&self, address: u64) -> T {
        self.ram.map().read_obj(GuestAddress(address)).unwrap()
    }

    pub(super) fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.ram.map().read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    /// Waits until the device interrupts.
    pub(super) fn interrupted(&self) {
        self.interrupts.recv_timeout(PATIENCE).unwrap();
    }
}
