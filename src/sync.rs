//! Locks that survive a panic of another thread.
//!
//! A panic is a bug that ends one request or one connection; it must not end all that come after. So a poisoned lock is
//! used as it is: every section under a lock here leaves its value whole at each point where it could panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also after a panic under it.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
