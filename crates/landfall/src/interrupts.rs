//! Ctrl-C, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often the user has asked to stop: by Ctrl-C, or by a signal to terminate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupts(Arc<AtomicU32>);

impl Interrupts {
    /// Counts from now on, instead of ending the process. Once a process.
    ///
    /// # Errors
    /// When the system refuses the signal handler.
    pub(crate) fn install() -> Result<Self, ctrlc::Error> {
        let interrupts = Self::default();
        let counted = interrupts.clone();
        ctrlc::set_handler(move || counted.add())?;
        Ok(interrupts)
    }

    /// One more. Relaxed: the count stands for itself, nothing else is published with it.
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often until now.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins to count anew: the user has thought better of it.
    pub(crate) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Whether at least once.
    pub(crate) fn any(&self) -> bool {
        self.count() > 0
    }
}
