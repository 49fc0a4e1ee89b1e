//! Owns a room's end of its log: turns what the state decided into records, numbers them, and takes snapshots in time.
//! Called by the `Room` actor, once for each turn of its state.

use std::{borrow::Cow, rc::Rc};

use super::{
    effect::Effect,
    history::Event,
    outlet::Deferred,
    record::{EventRecord, Image, Record},
};
use crate::{
    protocol::GameId,
    store::{Appended, Appender, Batch, Change, Records, Snapshot},
    ws::frame::payload,
};

/// A snapshot follows when the records since the last one weigh this much, and twice as much as it did: so folding a log
/// is bounded, and snapshots never cost more than the records.
const SNAPSHOT_BYTES: usize = 64 * 1024;

/// The way of one room to its home.
pub struct RoomLog {
    game: GameId,
    home: Rc<Appender<Deferred>>,
    /// `DURABILITY=sync` (D1).
    flush: bool,
    /// Where the next record goes.
    position: u64,
    bytes_since_snapshot: usize,
    snapshot_bytes: usize,
    /// [`SNAPSHOT_BYTES`], less in tests.
    min_bytes: usize,
}

impl RoomLog {
    /// A log that ends at `position`.
    pub fn new(game: GameId, home: Rc<Appender<Deferred>>, flush: bool, position: u64) -> Self {
        let min_bytes = SNAPSHOT_BYTES;
        Self { game, home, flush, position, bytes_since_snapshot: 0, snapshot_bytes: 0, min_bytes }
    }

    #[cfg(test)]
    pub fn with_snapshots_after(self, min_bytes: usize) -> Self {
        Self { min_bytes, ..self }
    }

    pub fn home(&self) -> &Rc<Appender<Deferred>> {
        &self.home
    }

    /// Begins a log with a room as it is; `replace`: whatever is there under its name goes.
    pub fn begin(&mut self, image: &Image<'_>, replace: bool) -> Appended {
        let snapshot = image.to_bytes();
        self.position = 0;
        (self.bytes_since_snapshot, self.snapshot_bytes) = (0, snapshot.len());
        self.append(Change::Begin { snapshot, records: Records::default(), replace })
    }

    /// Writes what has to be kept of these effects. `None`: nothing had to be.
    pub fn write(&mut self, effects: &mut [Effect], snapshot: impl FnOnce() -> Snapshot) -> Option<Appended> {
        let position = self.position;
        let mut records = Records::default();
        for effect in effects {
            match effect {
                Effect::Event(event) => {
                    event.position = position + records.len();
                    records.push_with(|out| record(event).write(out));
                }
                Effect::Keep(record) => records.push_with(|out| record.write(out)),
                _ => {}
            }
        }
        if records.is_empty() {
            return None;
        }
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

    /// The room is over, and its log goes with it (R6).
    pub fn remove(&mut self) -> Appended {
        self.append(Change::Remove { position: self.position })
    }

    fn append(&self, change: Change) -> Appended {
        self.home.append(Batch { game: self.game.clone(), change }, self.flush)
    }
}

fn record(event: &Event) -> Record<'_> {
    Record::Event(EventRecord {
        seq: event.seq,
        made_ms: event.made_ms,
        is_patch: event.is_patch,
        audience: Cow::Borrowed(&event.audience),
        request: event.request.clone(),
        text: payload(&event.frame),
    })
}
