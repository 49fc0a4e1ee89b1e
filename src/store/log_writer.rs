//! Owns the writing end of one log: where the next record goes, and when a snapshot is due.

use std::rc::Rc;

use super::{Appended, Appender, Batch, Change, Records, Snapshot};
use crate::protocol::GameId;

/// A snapshot follows when the records since the last one weigh this much, and twice as much as it did: so folding a log
/// is bounded, and snapshots never cost more than the records.
const SNAPSHOT_BYTES: usize = 64 * 1024;

/// The way of one log to its home. `T` is what waits there (see [`Appender`]).
pub struct LogWriter<T> {
    game: GameId,
    home: Rc<Appender<T>>,
    /// `DURABILITY=sync` (D1).
    flush: bool,
    /// Where the next record goes.
    position: u64,
    bytes_since_snapshot: usize,
    snapshot_bytes: usize,
    /// [`SNAPSHOT_BYTES`], less in tests.
    min_bytes: usize,
}

impl<T> LogWriter<T> {
    /// A log that ends at `position`.
    pub fn new(game: GameId, home: Rc<Appender<T>>, flush: bool, position: u64) -> Self {
        let min_bytes = SNAPSHOT_BYTES;
        Self { game, home, flush, position, bytes_since_snapshot: 0, snapshot_bytes: 0, min_bytes }
    }

    #[cfg(test)]
    pub fn with_snapshots_after(self, min_bytes: usize) -> Self {
        Self { min_bytes, ..self }
    }

    pub fn game(&self) -> &GameId {
        &self.game
    }

    pub fn appender(&self) -> &Rc<Appender<T>> {
        &self.home
    }

    /// Where the next record goes.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Begins a log; `replace`: whatever is there under its name goes.
    pub fn begin(&mut self, snapshot: Vec<u8>, replace: bool) -> Appended {
        self.position = 0;
        (self.bytes_since_snapshot, self.snapshot_bytes) = (0, snapshot.len());
        self.append(Change::Begin { snapshot, records: Records::default(), replace })
    }

    /// Writes records, and a snapshot if one is due. `None`: there were no records.
    pub fn write(&mut self, records: Records, snapshot: impl FnOnce() -> Snapshot) -> Option<Appended> {
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

    /// The log goes (R6).
    pub fn remove(&mut self) -> Appended {
        self.append(Change::Remove { position: self.position })
    }

    fn append(&self, change: Change) -> Appended {
        self.home.append(Batch { game: self.game.clone(), change }, self.flush)
    }
}
