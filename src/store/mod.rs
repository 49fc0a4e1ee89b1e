//! Owns the log's homes: one trait, the values it speaks of, and the journal that groups what all
//! rooms write.
//!
//! A log belongs to a game, or to an event bus. Its records are opaque here and have positions, 0,
//! 1, 2 …, without a gap. A snapshot at position p stands for all records before p. Every write
//! says at which position it belongs: a writer whose idea of a log is outdated is rejected, never
//! merged (fencing).

mod appender;
mod embedded;
mod journal;
mod keys;
mod log_writer;
mod memory;
pub mod private;
mod records;

#[cfg(test)]
mod contract_tests;
#[cfg(test)]
mod faulty;
#[cfg(test)]
mod journal_tests;

use std::{fmt, time::Duration};

pub use self::{
    appender::{Appended, Appender, Outcome, Ticket},
    embedded::{EmbeddedStore, OpenError, Opened},
    journal::{Journal, JournalSetting},
    keys::{AppliedKey, BodyHash, IdempotencyKey, IdempotencyKeys, KeyHash, KeyMismatch, KnownKey, MAX_KEYS},
    log_writer::LogWriter,
    memory::MemoryStore,
    records::{Records, encode},
};
use crate::protocol::GameId;

/// Where logs live. Calls block; the journal makes them from a thread of its own.
///
/// What is read is what was written, or [`Log::is_intact`] is `false`. `contract_tests` holds every home to this contract.
pub trait Store: Send {
    /// Carries out all of a group or, on an error, nothing of it. Returns the indices of the batches that did not fit their log,
    /// ascending; those alone are left out. Afterwards the group outlives the process; with `flush`, the machine too (D1).
    ///
    /// # Errors
    /// When the home cannot write now; the same group may be tried again.
    fn append(&mut self, group: &[Batch], flush: bool) -> Result<Vec<usize>, StoreError>;

    /// The log of a game from position `from` on (0: all that is kept), or `None` when there is none. The snapshot is
    /// the newest, whatever `from` is.
    ///
    /// # Errors
    /// When the home cannot be read now. Damage is no error: see [`Log::is_intact`].
    fn read(&mut self, game: &GameId, from: u64) -> Result<Option<Log>, StoreError>;

    /// Games that have a log, in order of their names, behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the home cannot be read now.
    fn games(&mut self, after: Option<&GameId>, limit: usize) -> Result<Vec<GameId>, StoreError>;

    /// Removes logs that nobody has written since the home was opened, at most `limit`; returns how many went.
    ///
    /// # Errors
    /// When the home cannot write now.
    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError>;

    /// Housekeeping; called about once a second, and when the journal closes. Short: writers wait meanwhile.
    ///
    /// # Errors
    /// When the home cannot write now.
    fn tend(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// What has happened to the home since the last call that belongs in the log: each a sentence, a warning.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// One room's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub game: GameId,
    pub change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new log: a snapshot at position 0 and records from there on. Fits where there is no log; with `replace`, it fits
    /// always and takes the place of what is there.
    Begin { snapshot: Vec<u8>, records: Records, replace: bool },
    /// Fits when the log ends at `position`.
    Append { position: u64, records: Records, snapshot: Option<Snapshot> },
    /// The log goes. Fits when it ends at `position`.
    Remove { position: u64 },
}

/// What stands for all records before the end of the batch it comes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub body: Vec<u8>,
    /// Records before this position are not needed any more; the home may keep them.
    pub keep_from: u64,
}

/// A log as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub snapshot: Vec<u8>,
    /// The snapshot stands for the records before this position.
    pub snapshot_position: u64,
    /// The position of the first of `records`.
    pub first: u64,
    pub records: Records,
    /// `false`: something is missing or changed that once was here: a damaged file, an older copy, a gap. What is given is what
    /// could be read; it may be empty, and nothing may be promised on its ground (R3).
    pub is_intact: bool,
    /// How long nobody ran since the log was last written, e.g. between a crash and the next start.
    pub downtime: Duration,
}

impl Log {
    /// The position behind the last record.
    pub fn end(&self) -> u64 {
        self.first + self.records.len()
    }
}

/// A home that cannot do what it was asked, in words for the log. It may be able to later (D5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}
