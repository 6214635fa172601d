//! The thread of one vCPU.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::ending::Ending;
use super::gate::{Gate, Permit};
use crate::sandbox::{ThreadKind, confine};
use crate::scheduler::ask_for_short_slices;
use crate::sync::{Mutex, MutexGuard, lock};

/// What a vCPU could not do.
pub type CpuError = Box<dyn std::error::Error + Send + Sync>;

/// Makes a vCPU leave the guest. Sticky: a kick that comes before the guest is entered makes the entry return at once.
pub type Kick = Box<dyn Fn() + Send>;

/// Why a vCPU left the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was kicked, its slice was over, or an exit was dealt with.
    Interrupted,
    /// The guest is over.
    Ended(Ending),
}

/// One virtual processor, of whatever make.
pub trait Cpu: Send + 'static {
    /// The state that a migration carries.
    type State: Send;

    /// Called once, on the vCPU's own thread, before it runs.
    ///
    /// # Errors
    /// When the thread cannot be made ready to be kicked.
    fn attach(&mut self) -> Result<Kick, CpuError>;

    /// Runs guest code until kicked, for `slice` at most. When it returns the vCPU's state is whole: no exit is left
    /// half done.
    ///
    /// # Errors
    /// When the hypervisor refuses; the guest is over then.
    fn run(&mut self, slice: Option<Duration>) -> Result<Exit, CpuError>;

    /// Called on the vCPU's own thread when it goes on after a pause.
    fn goes_on(&mut self) {}

    /// The vCPU's state; it is paused.
    ///
    /// # Errors
    /// When the hypervisor cannot read it.
    fn save(&mut self) -> Result<Self::State, CpuError>;

    /// Takes a state over; it is paused.
    ///
    /// # Errors
    /// When the hypervisor refuses it.
    fn load(&mut self, state: Self::State) -> Result<(), CpuError>;
}

/// A vCPU and its thread. Ends and joins the thread when dropped.
pub struct VcpuThread<C: Cpu> {
    gate: Arc<Gate>,
    cpu: Arc<Mutex<C>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Cpu> fmt::Debug for VcpuThread<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VcpuThread").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl<C: Cpu> VcpuThread<C> {
    /// Starts the thread of vCPU `index`, paused. `ended` is called on that thread when the guest ends of itself.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        index: usize,
        cpu: C,
        ended: impl FnOnce(Ending) + Send + 'static,
    ) -> io::Result<Self> {
        let gate = Arc::new(Gate::default());
        let cpu = Arc::new(Mutex::new(cpu));
        let thread = std::thread::Builder::new().name(format!("vcpu{index}")).spawn({
            let (gate, cpu) = (Arc::clone(&gate), Arc::clone(&cpu));
            move || {
                if let Some(ending) = drive(&gate, &cpu) {
                    gate.end();
                    ended(ending);
                }
            }
        })?;
        Ok(Self { gate, cpu, thread: Some(thread) })
    }

    /// The hand-shake with the thread.
    #[must_use]
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The vCPU itself; waits for as long as it runs.
    pub fn cpu(&self) -> MutexGuard<'_, C> {
        lock(&self.cpu)
    }
}

impl<C: Cpu> Drop for VcpuThread<C> {
    fn drop(&mut self) {
        self.gate.finish();
        if let Some(thread) = self.thread.take() {
            // A panic of the vCPU thread has been printed; there is nothing left to do about it.
            let _ = thread.join();
        }
    }
}

/// Runs a vCPU until it is finished; gives how where it ended of itself.
fn drive<C: Cpu>(gate: &Gate, cpu: &Mutex<C>) -> Option<Ending> {
    let failure = |why: String| Some(Ending::Failure(why));
    if let Err(error) = ask_for_short_slices() {
        tracing::debug!("the scheduler gives no short slices: {error}");
    }
    confine(ThreadKind::Vcpu);
    let mut held = lock(cpu);
    match held.attach() {
        Ok(kick) => gate.attach(kick),
        Err(error) => return failure(format!("a vCPU thread could not be set up: {error}")),
    }
    loop {
        match gate.permit() {
            Permit::Run(slice) => match held.run(slice) {
                Ok(Exit::Interrupted) => {}
                Ok(Exit::Ended(ending)) => return Some(ending),
                Err(error) => {
                    return failure(format!("the hypervisor cannot run the guest: {error}"));
                }
            },
            Permit::Stall => gate.stall(),
            Permit::Pause => {
                // Others may read and write the vCPU while it rests.
                drop(held);
                gate.rest();
                held = lock(cpu);
                held.goes_on();
            }
            Permit::Finish => return None,
        }
    }
}
