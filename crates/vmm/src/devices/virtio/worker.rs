//! What carries out the requests of a virtio device, on a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use virtio_queue::{Queue, QueueOwnedT as _, QueueT as _};

use super::registers::{self, Progress};
use super::{Configuration, Malformed, Model, Waker};
use crate::devices::Interrupt;
use crate::memory::GuestRam;

/// What the vCPUs and the worker share.
pub(super) struct Shared {
    pub(super) kind: u32,
    pub(super) offered: u64,
    pub(super) configuration: Arc<dyn Configuration>,
    pub(super) queues: u32,
    pub(super) ram: Arc<GuestRam>,
    pub(super) interrupt: Arc<dyn Interrupt>,
    /// Why the guest was interrupted. Both sides change single bits of it.
    pub(super) interrupts: AtomicU32,
    /// Asks the worker to stop between two requests; which it has, the control says.
    pub(super) hurry: AtomicBool,
    pub(super) control: Mutex<Control>,
    pub(super) changed: Condvar,
    /// Held by the worker for as long as it works. Taken after the control, or without it, never before.
    pub(super) work: Mutex<Work>,
}

/// What the worker is told, and tells.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) progress: Progress,
    /// The guest may have put something into the queue.
    pub(super) notified: bool,
    /// The machine runs.
    pub(super) started: bool,
    /// The worker is at work.
    pub(super) busy: bool,
    /// The machine is no more.
    pub(super) closed: bool,
}

/// What the worker works with.
pub(super) struct Work {
    pub(super) queues: Vec<Queue>,
    pub(super) model: Box<dyn Model>,
}

/// How a round of work ended.
enum Round {
    /// Nothing is left.
    Done,
    /// Something is, but the machine is to stop.
    Hurried,
    /// The guest has to begin anew.
    Broken,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Carries out what the guest asks for until the machine is no more.
    pub(super) fn work_on(&self) {
        let mut control = lock(&self.control);
        while !control.closed {
            if !(control.started && control.notified && control.progress.is_ready()) {
                control = self.changed.wait(control).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            (control.busy, control.notified) = (true, false);
            let features = control.progress.features;
            drop(control);
            let ended = self.round(features);
            control = lock(&self.control);
            control.busy = false;
            match ended {
                Round::Done => {}
                Round::Hurried => control.notified = true,
                Round::Broken => {
                    control.progress.status |= registers::NEEDS_RESET;
                    self.tell(registers::CHANGED);
                }
            }
            self.changed.notify_all();
        }
    }

    /// Tells the worker when something else than the guest has work for it.
    pub(super) fn listen(&self, waker: &dyn Waker) {
        while waker.wait() {
            lock(&self.control).notified = true;
            self.changed.notify_all();
        }
    }

    fn round(&self, features: u64) -> Round {
        let mut work = lock(&self.work);
        match self.serve(&mut work, features) {
            Ok(round) => round,
            Err(error) => {
                tracing::warn!("the guest misuses a device, which waits for its reset: {error}");
                Round::Broken
            }
        }
    }

    fn serve(&self, work: &mut Work, features: u64) -> Result<Round, Malformed> {
        for index in 0..work.queues.len() {
            if let Round::Hurried = self.serve_queue(work, index, features)? {
                return Ok(Round::Hurried);
            }
        }
        Ok(Round::Done)
    }

    fn serve_queue(
        &self,
        work: &mut Work,
        index: usize,
        features: u64,
    ) -> Result<Round, Malformed> {
        let memory = self.ram.map();
        let Work { queues, model } = work;
        // The guest has not set it up, and does without it.
        let Some(queue) = queues.get_mut(index).filter(|queue| queue.ready()) else {
            return Ok(Round::Done);
        };
        loop {
            queue.disable_notification(memory)?;
            loop {
                if self.hurry.load(Ordering::Relaxed) {
                    return Ok(Round::Hurried);
                }
                // What comes from elsewhere wakes the worker, too: the guest need not.
                if !model.has_work(index) {
                    return Ok(Round::Done);
                }
                let Some(request) = queue.iter(memory)?.next() else { break };
                let written = model.serve(memory, index, &request, features)?;
                queue.add_used(memory, request.head_index(), written)?;
                if queue.needs_notification(memory)? {
                    self.tell(registers::BUFFERS_USED);
                }
            }
            if !queue.enable_notification(memory)? {
                return Ok(Round::Done);
            }
        }
    }

    /// Interrupts the guest.
    pub(super) fn tell(&self, why: u32) {
        self.interrupts.fetch_or(why, Ordering::AcqRel);
        if let Err(error) = self.interrupt.raise() {
            tracing::warn!("an interrupt of a device is lost: {error}");
        }
    }
}
