//! Owns the writing side of a room's log: turns effects into records, numbers them, and takes
//! snapshots.

use std::{borrow::Cow, rc::Rc};

use super::{
    effect::Effect,
    history::Event,
    outlet::Deferred,
    record::{EventRecord, RoomImage, RoomRecord},
};
use crate::{
    protocol::GameId,
    store::{Appended, Appender, LogWriter, Records, Snapshot},
};

/// Writes one room's log through its shard's appender.
pub(super) struct RoomLog(LogWriter<Deferred>);

impl RoomLog {
    /// Continues a log that ends at `position`.
    pub(super) fn new(game: GameId, home: Rc<Appender<Deferred>>, flush: bool, position: u64) -> Self {
        Self(LogWriter::new(game.into(), home, flush, position))
    }

    #[cfg(test)]
    pub(super) fn with_snapshots_after(self, min_bytes: usize) -> Self {
        Self(self.0.with_snapshots_after(min_bytes))
    }

    pub(super) fn appender(&self) -> &Rc<Appender<Deferred>> {
        self.0.appender()
    }

    /// Starts a log with an image of the room. `replace` deletes the log that exists under its
    /// name.
    pub(super) fn begin(&mut self, image: &RoomImage<'_>, replace: bool) -> Appended {
        self.0.begin(image.to_bytes(), replace)
    }

    /// The position of the next record.
    pub(super) fn position(&self) -> u64 {
        self.0.position()
    }

    /// Writes the records of these effects. Returns `None` if there are none.
    pub(super) fn write(&mut self, effects: &[Effect], snapshot: impl FnOnce() -> Snapshot) -> Option<Appended> {
        let mut records = Records::default();
        for effect in effects {
            match effect {
                Effect::Event(event) => {
                    debug_assert_eq!(event.position, self.position() + records.len());
                    records.push_with(|out| record(event).write(out));
                }
                Effect::Keep(record) => records.push_with(|out| record.write(out)),
                _ => {}
            }
        }
        self.0.write(records, snapshot)
    }

    /// Deletes the log of a room that is over (R6).
    pub(super) fn remove(&mut self) -> Appended {
        self.0.remove()
    }
}

fn record(event: &Event) -> RoomRecord<'_> {
    let record = EventRecord {
        seq: event.seq,
        made_ms: event.made_ms,
        is_patch: event.is_patch,
        audience: Cow::Borrowed(&event.audience),
        request: event.request.clone(),
        text: event.text.json(),
    };
    match &event.name {
        None => RoomRecord::Event(record),
        Some(name) => RoomRecord::Named { event: record, name: name.clone() },
    }
}
