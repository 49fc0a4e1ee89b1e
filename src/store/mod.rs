//! Owns the stores of logs: one trait, its value types, and the journal that groups the writes of
//! all rooms.
//!
//! A log belongs to a name or to an event bus. Its records are opaque here and have the positions
//! 0, 1, 2 …, without a gap. A snapshot at position p replaces all records before p. Every write
//! names the position where it belongs: a writer with an outdated position is rejected, never
//! merged (fencing).

mod appender;
mod embedded;
mod journal;
mod keys;
mod log_name;
mod log_writer;
mod memory;
pub(crate) mod private;
mod records;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod journal_tests;

use std::{fmt, time::Duration};

#[cfg(any(test, fuzzing))]
pub(crate) use self::embedded::fuzz;
#[doc(hidden)]
pub use self::embedded::{EmbeddedStore, OpenError, Opened};
pub(crate) use self::{
    appender::{Appended, Appender, Outcome, Ticket},
    journal::{Journal, JournalSetting},
    keys::{AppliedKey, BodyHash, IdempotencyKey, IdempotencyKeys, KeyHash, KeyMismatch, KnownKey},
    log_writer::LogWriter,
    records::encode,
};
pub use self::{log_name::LogName, memory::MemoryStore, records::Records};
pub use crate::protocol::HubId;

/// Where logs are stored. Calls block; the journal makes them on a thread of its own.
///
/// A read returns what was written, or [`Log::is_intact`] is `false`. `contract_tests` tests every
/// store against this contract.
pub trait Store: Send {
    /// Writes a whole group or, on an error, nothing of it. Returns the ascending indices of the
    /// batches that did not fit their log; only those are left out. Afterwards the group survives
    /// the end of the process; with `flush`, that of the machine too (D1).
    ///
    /// # Errors
    /// Fails if the store cannot write at the moment; the same group may be tried again.
    fn append(&mut self, group: &[Batch], flush: bool) -> Result<Vec<usize>, StoreError>;

    /// Reads a log from position `from` on (0: everything kept); `None` if there is no
    /// log. The snapshot is the newest, whatever `from` is.
    ///
    /// # Errors
    /// Fails if the store cannot be read at the moment. Damage is not an error: see
    /// [`Log::is_intact`].
    fn read(&mut self, name: &LogName, from: u64) -> Result<Option<Log>, StoreError>;

    /// Returns the names of up to `limit` logs, in order, after `after`.
    ///
    /// # Errors
    /// Fails if the store cannot be read at the moment.
    fn logs(&mut self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>, StoreError>;

    /// Removes up to `limit` logs that were not written since the store was opened; returns how
    /// many.
    ///
    /// # Errors
    /// Fails if the store cannot write at the moment.
    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError>;

    /// Does housekeeping; called about once a second, and when the journal closes. Must be short,
    /// because writers wait meanwhile.
    ///
    /// # Errors
    /// Fails if the store cannot write at the moment.
    fn tend(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes the warnings since the last call, each a sentence for the log.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// One write to one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub name: LogName,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new log: a snapshot at position 0 and the records from there on. Fits if there is no log.
    /// With `replace` it always fits and replaces an existing log.
    Begin { snapshot: Vec<u8>, records: Records, replace: bool },
    /// Fits if the log ends at `position`.
    Append { position: u64, records: Records, snapshot: Option<Snapshot> },
    /// Removes the log. Fits if it ends at `position`.
    Remove { position: u64 },
}

/// Replaces all records before the end of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub body: Vec<u8>,
    /// Records before this position are no longer needed; the store may keep them.
    pub keep_from: u64,
}

/// A log as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub snapshot: Vec<u8>,
    /// The snapshot replaces the records before this position.
    pub snapshot_position: u64,
    /// The position of the first of `records`.
    pub first: u64,
    pub records: Records,
    /// `false`: something that once was here is missing or changed, by a damaged file, an older
    /// copy or a gap. The log contains what could be read, perhaps nothing, and no promise may rest
    /// on it (R3).
    pub is_intact: bool,
    /// How long no process ran since the log was last written, e.g. between a crash and the next
    /// start.
    pub downtime: Duration,
}

impl Log {
    /// The position after the last record.
    pub fn end(&self) -> u64 {
        self.first + self.records.len()
    }
}

/// Why a store failed, in words for the log. A later attempt may succeed (D5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
