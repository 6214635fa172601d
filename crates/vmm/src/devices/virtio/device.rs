//! A virtio device, as its vCPUs and a migration see it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{io, thread};

use virtio_queue::{Queue, QueueT};

use super::registers::{self, Progress};
use super::saved::SavedVirtio;
use super::worker::{Control, Shared, Work, lock};
use super::{EVENT_INDEX, INDIRECT, Model, QUEUE_SIZE, VERSION_1, Waker};
use crate::devices::{DeviceStateError, Interrupt};
use crate::memory::GuestRam;
use crate::sandbox::{ThreadKind, confine};

/// A virtio device.
pub(crate) struct VirtioDevice {
    shared: Arc<Shared>,
    waker: Option<Arc<dyn Waker>>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for VirtioDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtioDevice").field("kind", &self.shared.kind).finish_non_exhaustive()
    }
}

impl VirtioDevice {
    /// A device in its reset state, which does nothing until [`VirtioDevice::start`].
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn new(
        model: Box<dyn Model>,
        ram: &Arc<GuestRam>,
        interrupt: Arc<dyn Interrupt>,
    ) -> io::Result<Self> {
        let queues = (0..model.queues()).map(|_| Queue::new(QUEUE_SIZE));
        let queues = queues.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let waker = model.waker();
        let shared = Arc::new(Shared {
            kind: model.kind(),
            offered: model.features() | VERSION_1 | EVENT_INDEX | INDIRECT,
            configuration: model.configuration(),
            queues: u32::try_from(queues.len()).map_err(io::Error::other)?,
            ram: Arc::clone(ram),
            interrupt,
            interrupts: AtomicU32::new(0),
            hurry: AtomicBool::new(true),
            control: Mutex::new(Control::default()),
            changed: Condvar::new(),
            work: Mutex::new(Work { queues, model }),
        });
        // From here on it ends its threads, also where there is none for the second.
        let mut device = Self { shared, waker, threads: Vec::new() };
        let working = Arc::clone(&device.shared);
        device.spawn("device", move || working.work_on())?;
        if let Some(waker) = device.waker.clone() {
            let listening = Arc::clone(&device.shared);
            device.spawn("device-waker", move || listening.listen(waker.as_ref()))?;
        }
        Ok(device)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let confined = move || {
            confine(ThreadKind::Device);
            body();
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(confined)?);
        Ok(())
    }

    /// The guest reads from the device, `offset` bytes behind its beginning.
    pub(crate) fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(at) = configuration_offset(offset) {
            self.shared.configuration.read(at, data);
        } else if data.len() == size_of::<u32>() {
            data.copy_from_slice(&self.shared.register(offset).to_le_bytes());
        }
    }

    /// The guest writes to the device.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) {
        if let Some(at) = configuration_offset(offset) {
            self.shared.configuration.write(at, data);
        } else if let Ok(bytes) = data.try_into() {
            self.shared.set_register(offset, u32::from_le_bytes(bytes));
        }
    }

    /// Tells the guest that it finds something else in the configuration, if it knows the device already.
    pub(crate) fn configuration_changed(&self) {
        let is_known = lock(&self.shared.control).progress.is_ready();
        if is_known {
            self.shared.tell(registers::CHANGED);
        }
    }

    /// There is something to do that did not come from the guest.
    pub(crate) fn notify(&self) {
        lock(&self.shared.control).notified = true;
        self.shared.changed.notify_all();
    }

    /// Carries requests out from now on, beginning with those that wait already.
    pub(crate) fn start(&self) {
        let mut control = lock(&self.shared.control);
        (control.started, control.notified) = (true, true);
        self.shared.hurry.store(false, Ordering::Relaxed);
        self.shared.changed.notify_all();
    }

    /// Returns when nothing is being carried out any more; a request is either done or not begun.
    pub(crate) fn stop(&self) {
        let mut control = lock(&self.shared.control);
        control.started = false;
        // Only to be quicker; that the work has ended is known by the lock.
        self.shared.hurry.store(true, Ordering::Relaxed);
        while control.busy {
            control = self.shared.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What of it travels; it is stopped.
    pub(crate) fn save(&self) -> SavedVirtio {
        let progress = lock(&self.shared.control).progress;
        SavedVirtio {
            status: progress.status,
            offered_half: progress.offered_half,
            agreed_half: progress.agreed_half,
            features: progress.features,
            selected_queue: progress.selected_queue,
            interrupts: self.shared.interrupts.load(Ordering::Acquire),
            queues: lock(&self.shared.work)
                .queues
                .iter()
                .map(|queue| queue.state().into())
                .collect(),
        }
    }

    /// Takes a saved state over; it is stopped.
    ///
    /// # Errors
    /// When the state is none of this device.
    pub(crate) fn load(&self, saved: &SavedVirtio) -> Result<(), DeviceStateError> {
        if saved.features & !self.shared.offered != 0 {
            return Err(DeviceStateError::Features(saved.features & !self.shared.offered));
        }
        let queues = saved.queues.iter().map(|queue| queue.queue(self.shared.ram.map()));
        let queues = queues.collect::<Result<Vec<_>, _>>()?;
        if queues.len() != self.shared.queues as usize {
            return Err(DeviceStateError::Queue);
        }
        lock(&self.shared.control).progress = Progress {
            status: saved.status,
            offered_half: saved.offered_half,
            agreed_half: saved.agreed_half,
            features: saved.features,
            selected_queue: saved.selected_queue,
        };
        lock(&self.shared.work).queues = queues;
        self.shared.interrupts.store(saved.interrupts, Ordering::Release);
        Ok(())
    }
}

/// How far behind the beginning of the configuration `offset` is, if it is there.
fn configuration_offset(offset: u64) -> Option<usize> {
    let behind = offset.checked_sub(registers::CONFIGURATION)?;
    Some(usize::try_from(behind).unwrap_or(usize::MAX))
}

impl Drop for VirtioDevice {
    fn drop(&mut self) {
        lock(&self.shared.control).closed = true;
        self.shared.hurry.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        if let Some(waker) = &self.waker {
            waker.end();
        }
        // A thread that panicked has said so already.
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Shared {
    fn register(&self, register: u64) -> u32 {
        let control = lock(&self.control);
        let progress = control.progress;
        let selected = progress.selected_queue as usize;
        let has_queue = progress.selected_queue < self.queues;
        match register {
            registers::MAGIC => registers::MAGIC_VALUE,
            registers::VERSION => registers::THIS_VERSION,
            registers::KIND => self.kind,
            registers::VENDOR => registers::THIS_VENDOR,
            registers::OFFERED => progress.half(self.offered),
            registers::QUEUE_MOST if has_queue => u32::from(QUEUE_SIZE),
            registers::QUEUE_READY if has_queue => {
                lock(&self.work).queues.get(selected).is_some_and(QueueT::ready).into()
            }
            registers::INTERRUPTS => self.interrupts.load(Ordering::Acquire),
            registers::STATUS => progress.status,
            registers::GENERATION => self.configuration.generation(),
            registers::SHARED_LOW | registers::SHARED_HIGH => u32::MAX,
            _ => 0,
        }
    }

    fn set_register(&self, register: u64, value: u32) {
        let mut control = lock(&self.control);
        let progress = &mut control.progress;
        match register {
            registers::OFFERED_HALF => progress.offered_half = value,
            registers::AGREED => progress.agree(value),
            registers::AGREED_HALF => progress.agreed_half = value,
            registers::QUEUE_SELECT => progress.selected_queue = value,
            registers::QUEUE_NOTIFY => {
                control.notified = true;
                self.changed.notify_all();
            }
            registers::INTERRUPTS_SEEN => {
                self.interrupts.fetch_and(!value, Ordering::AcqRel);
            }
            registers::STATUS if value == 0 => {
                while control.busy {
                    control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
                }
                // From here on the worker has nothing to do.
                control.progress = Progress::default();
                lock(&self.work).queues.iter_mut().for_each(QueueT::reset);
                self.interrupts.store(0, Ordering::Release);
            }
            registers::STATUS => {
                progress.advance(value, self.offered);
                control.notified = true;
                self.changed.notify_all();
            }
            _ => {
                let (selected, features) = (progress.selected_queue as usize, progress.features);
                if let Some(queue) = lock(&self.work).queues.get_mut(selected) {
                    registers::set_up(queue, register, value, features, self.ram.map());
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
