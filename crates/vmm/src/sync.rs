//! The locks of the vCPU hand-shake: those of the standard library, or loom's where the hand-shake is model-checked.

#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};

/// Locks, also when another thread panicked while it held the lock: the state behind these locks is changed in single
/// assignments, so it is whole at any moment, and a guest must stay stoppable whatever else went wrong.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
