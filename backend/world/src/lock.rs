//! Locks that outlive a panic of their holder. Refuses to hide it: the panic itself goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value, also after another thread panicked while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
