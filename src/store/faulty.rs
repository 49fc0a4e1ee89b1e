//! Owns a store for tests that wraps another one and fails, panics or blocks on command.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Batch, Log, Store, StoreError};
use crate::store::LogName;

/// Follows its [`Faults`]; otherwise passes each call to `inner`.
pub(super) struct FaultyStore<S> {
    inner: S,
    faults: Faults,
}

/// A handle of the switches, for a test whose journal owns the store.
#[derive(Clone, Default)]
pub(super) struct Faults(Arc<(Mutex<FaultPlan>, Condvar)>);

#[derive(Default)]
pub(super) struct FaultPlan {
    /// How many of the next calls fail; `u32::MAX`: all, until changed.
    pub(super) failing_appends: u32,
    pub(super) failing_reads: u32,
    /// How many of the next calls panic.
    pub(super) panics: u32,
    /// Calls block until this is reset.
    pub(super) holds: bool,
    pub(super) holds_tend: bool,
    /// Number of batches and `flush` of each `append` that began, including failed ones.
    pub(super) groups: Vec<(usize, bool)>,
    pub(super) tends: u32,
}

impl Faults {
    pub(super) fn wrap<S: Store>(&self, inner: S) -> FaultyStore<S> {
        FaultyStore { inner, faults: self.clone() }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut FaultPlan)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    /// Blocks until `is_wanted` returns true.
    pub(super) fn wait_until(&self, mut is_wanted: impl FnMut(&FaultPlan) -> bool) {
        let _state =
            self.0.1.wait_while(self.lock(), |state| !is_wanted(state)).unwrap_or_else(PoisonError::into_inner);
    }

    pub(super) fn groups(&self) -> Vec<(usize, bool)> {
        self.lock().groups.clone()
    }

    fn lock(&self) -> MutexGuard<'_, FaultPlan> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn panic_if_told(&self) {
        let mut state = self.lock();
        if state.panics > 0 {
            state.panics -= 1;
            drop(state);
            panic!("as told");
        }
    }

    fn fail_if_told(&self, which: impl Fn(&mut FaultPlan) -> &mut u32) -> Result<(), StoreError> {
        let mut state = self.lock();
        let left = which(&mut state);
        if *left == 0 {
            return Ok(());
        }
        if *left != u32::MAX {
            *left -= 1;
        }
        Err(StoreError("failing as told".into()))
    }
}

impl<S: Store> Store for FaultyStore<S> {
    fn append(&mut self, group: &[Batch], flush: bool) -> Result<Vec<usize>, StoreError> {
        self.faults.set(|state| state.groups.push((group.len(), flush)));
        self.faults.wait_until(|state| !state.holds);
        self.faults.panic_if_told();
        self.faults.fail_if_told(|state| &mut state.failing_appends)?;
        self.inner.append(group, flush)
    }

    fn read(&mut self, name: &LogName, from: u64) -> Result<Option<Log>, StoreError> {
        self.faults.panic_if_told();
        self.faults.fail_if_told(|state| &mut state.failing_reads)?;
        self.inner.read(name, from)
    }

    fn logs(&mut self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>, StoreError> {
        self.faults.fail_if_told(|state| &mut state.failing_reads)?;
        self.inner.logs(after, limit)
    }

    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError> {
        self.inner.sweep(limit)
    }

    fn tend(&mut self) -> Result<(), StoreError> {
        self.faults.set(|state| state.tends += 1);
        self.faults.wait_until(|state| !state.holds_tend);
        self.inner.tend()
    }
}
