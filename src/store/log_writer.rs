//! Owns the writing end of one log: the position of the next record, and when a snapshot is due.

use std::rc::Rc;

use super::{Appended, Appender, Batch, Change, Records, Snapshot};
use crate::store::LogName;

/// A snapshot is due when the records since the last one weigh this much, and twice as much as that
/// snapshot. This bounds the replay of a log, and snapshots never cost more than the records.
const SNAPSHOT_BYTES: usize = 64 * 1024;

/// Writes one log. `T` is the appender's deferred value (see [`Appender`]).
pub(crate) struct LogWriter<T> {
    name: LogName,
    home: Rc<Appender<T>>,
    /// `DURABILITY=sync` (D1).
    flush: bool,
    /// The position of the next record.
    position: u64,
    bytes_since_snapshot: usize,
    snapshot_bytes: usize,
    /// [`SNAPSHOT_BYTES`]; smaller in tests.
    min_bytes: usize,
}

impl<T> LogWriter<T> {
    /// Continues a log that ends at `position`.
    pub(crate) fn new(name: LogName, home: Rc<Appender<T>>, flush: bool, position: u64) -> Self {
        let min_bytes = SNAPSHOT_BYTES;
        Self { name, home, flush, position, bytes_since_snapshot: 0, snapshot_bytes: 0, min_bytes }
    }

    #[cfg(test)]
    pub(crate) fn with_snapshots_after(self, min_bytes: usize) -> Self {
        Self { min_bytes, ..self }
    }

    pub(crate) fn name(&self) -> &LogName {
        &self.name
    }

    pub(crate) fn appender(&self) -> &Rc<Appender<T>> {
        &self.home
    }

    /// The position of the next record.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Begins a log. With `replace`, an existing log of this name is replaced.
    pub(crate) fn begin(&mut self, snapshot: Vec<u8>, replace: bool) -> Appended {
        self.position = 0;
        (self.bytes_since_snapshot, self.snapshot_bytes) = (0, snapshot.len());
        self.append(Change::Begin { snapshot, records: Records::default(), replace })
    }

    /// Writes records, and a snapshot if one is due. Returns `None` if there are no records.
    pub(crate) fn write(&mut self, records: Records, snapshot: impl FnOnce() -> Snapshot) -> Option<Appended> {
        if records.is_empty() {
            return None;
        }
        let position = self.position;
        self.position += records.len();
        self.bytes_since_snapshot += records.as_bytes().len();
        let is_due = self.bytes_since_snapshot >= self.min_bytes.max(2 * self.snapshot_bytes);
        let snapshot = is_due.then(|| {
            let snapshot = snapshot();
            (self.bytes_since_snapshot, self.snapshot_bytes) = (0, snapshot.body.len());
            snapshot
        });
        Some(self.append(Change::Append { position, records, snapshot }))
    }

    /// Removes the log (R6).
    pub(crate) fn remove(&mut self) -> Appended {
        self.append(Change::Remove { position: self.position })
    }

    fn append(&self, change: Change) -> Appended {
        self.home.append(Batch { name: self.name.clone(), change }, self.flush)
    }
}
