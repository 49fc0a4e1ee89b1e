//! Owns the embedded store: all logs in one SQLite file under `DATA_DIR` (D2), and the recovery
//! when that file fails.
//!
//! ```text
//!   append(group of batches)                      read(log): head + parts + tail
//!      |                                                          ^
//!      v                                                          |
//!   fence each batch: does its log end at the batch's position?   |
//!      |                                                          |
//!      v                                                          |
//!   table groups: [41] [42] [43] ---- applied to ---> tails (memory)
//!                  |                                     |
//!                  | deleted when no tail needs it       | settled, oldest first
//!                  v                                     v
//!                  x         table logs:  a head per log (bounds, list of parts)
//!                            table parts: [records] [records] [snapshot] ...
//!
//!   innkeeper.db-wal  -- checkpoint thread -->  innkeeper.db
//!   innkeeper.mark    how new innkeeper.db must be
//!   innkeeper.lock    one process at a time
//! ```
//!
//! - A *group* is what the journal writes at once: batches of many rooms. It is one row at the end
//!   of the table `groups`, in one transaction, however many rooms write. Groups are numbered 1, 2,
//!   3 … Batches that do not fit their log are left out (fencing).
//! - A *tail* is what the unsettled groups contain for one log, merged, in memory. Opening the file
//!   replays these groups and so rebuilds the tails.
//! - A *head* is a log's row in the table `logs`. It holds the positions where the log begins and
//!   ends, the newest group it contains, and the ids and CRCs of its parts. A *part* is a row of
//!   `parts`: consecutive records (a *segment*), or the snapshot. Parts are added and deleted,
//!   never changed.
//! - *Settling* moves tails into heads and parts once the unsettled groups weigh more than 2 MiB, a
//!   portion before each new group, so that no write waits long. Tails of more than 64 KiB go
//!   first. The groups before the oldest that a tail still needs are then deleted.
//! - A *run* is one opening of the file. Each head and group names the run that wrote it, which
//!   gives the downtime of a log and the logs that `sweep` may remove.
//! - The *checkpoint* copies the WAL's pages into the database file, on a thread of its own. The
//!   writer makes only the last, small step, and waits for the whole only at the WAL's bound (64
//!   MiB).
//! - The *mark* is a small file with the newest group and the version of the database file. It is
//!   rewritten after each group and at housekeeping, without a flush.
//!
//! # Damage
//!
//! A CRC guards every row of `groups`, `logs`, `parts` and `meta`, and positions show gaps. A log
//! that misses something is returned with `is_intact: false` (R3). If the file ends before the
//! mark's group, or the database file is older than the mark's version, the file is an older copy
//! or lost its end. Then all logs last written before this run are *suspect*: not intact until they
//! begin anew. A data directory that is restored as a whole, mark included, looks like one that was
//! never newer. A file that cannot be used at all is renamed (`.damaged-SECONDS`) and an empty one
//! takes its place.

mod checkpoint;
mod db;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod group;
mod head;
mod home;
mod load;
mod lock;
mod mark;
mod meta;
mod open;
mod read;
mod settle;
mod tail;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub use self::open::{OpenError, Opened};
use self::{
    db::{is_damage, is_full, is_passing},
    file::beside,
    home::StoreHome,
    lock::Lock,
    mark::Mark,
    open::Files,
};
use super::{Batch, Log, Store, StoreError};
use crate::store::LogName;

/// The store reopens the file after this many failures in a row.
const MAX_FAILURES: u32 = 3;

/// The logs of one data directory, which the lock reserves for this process.
pub struct EmbeddedStore {
    files: Files,
    lock: Lock,
    /// `None`: the next call opens the file again.
    open: Option<(StoreHome, Mark)>,
    /// Store id and run of this process's first opening of the present file. `sweep` keeps the logs
    /// written since then, as rooms may be using them.
    since: (u64, u64),
    failures: u32,
    /// The last failure was a full disk. The next success empties the WAL.
    was_full: bool,
    /// A call has begun. Still set at the next call if that call panicked.
    is_calling: bool,
    notes: Vec<String>,
    clock: fn() -> u64,
}

/// How a call treats damage that it meets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// Only the call fails.
    Report,
    /// The file is set aside, because it cannot be written any more, and an empty one takes its
    /// place.
    SetAside,
}

impl EmbeddedStore {
    /// Opens the store of a directory; creates both if they are missing. Waits up to `wait` for
    /// another process to release the directory.
    ///
    /// # Errors
    /// Fails if another process still holds the directory, a newer version wrote the store, or the
    /// directory cannot be read or written. A damaged file is not an error: see [`Opened::notes`].
    pub fn open(dir: &Path, wait: Duration) -> Result<Opened, OpenError> {
        Self::open_at(dir, wait, unix_ms)
    }

    /// Opens the existing store of a directory, without waiting and without setting any file aside;
    /// for inspecting it.
    ///
    /// # Errors
    /// Fails if there is no store, if the file is damaged as a whole, and like
    /// [`EmbeddedStore::open`].
    pub fn open_existing(dir: &Path) -> Result<Opened, OpenError> {
        let files = Files::of(dir);
        if !files.db.exists() {
            return Err(OpenError::Missing { dir: dir.into() });
        }
        Self::open_files(files, false, Duration::ZERO, unix_ms)
    }

    /// `clock` returns unix milliseconds.
    fn open_at(dir: &Path, wait: Duration, clock: fn() -> u64) -> Result<Opened, OpenError> {
        Self::open_files(Files::of(dir), true, wait, clock)
    }

    fn open_files(files: Files, may_repair: bool, wait: Duration, clock: fn() -> u64) -> Result<Opened, OpenError> {
        let lock = files.lock(wait)?;
        let mut notes = Vec::new();
        let (home, mark) = files.open(may_repair, clock(), &mut notes)?;
        let store = Self {
            files,
            lock,
            since: (home.meta.store_id, home.meta.run),
            open: Some((home, mark)),
            failures: 0,
            is_calling: false,
            was_full: false,
            notes: Vec::new(),
            clock,
        };
        Ok(Opened { store, notes })
    }

    /// Runs `call` on the open store, which it opens first if necessary, and handles a failure.
    fn call<R>(
        &mut self,
        damage: Damage,
        call: impl FnOnce(&mut StoreHome, &mut Mark, u64) -> rusqlite::Result<R>,
    ) -> Result<R, StoreError> {
        if self.is_calling {
            // A panic may have left memory inconsistent; the file is consistent.
            self.open = None;
        }
        let now_ms = (self.clock)();
        let (home, mark) = match &mut self.open {
            Some(open) => (&mut open.0, &mut open.1),
            None => {
                let (home, mark) = self.reopened(now_ms)?;
                let open = self.open.insert((home, mark));
                (&mut open.0, &mut open.1)
            }
        };
        self.is_calling = true;
        let result = call(home, mark, now_ms);
        self.is_calling = false;
        match result {
            Ok(result) => {
                self.failures = 0;
                if std::mem::take(&mut self.was_full) {
                    self.empty_wal();
                }
                Ok(result)
            }
            Err(error) => {
                self.failed(damage, &error, now_ms);
                Err(StoreError(error.to_string()))
            }
        }
    }

    fn failed(&mut self, damage: Damage, error: &rusqlite::Error, now_ms: u64) {
        if is_damage(error) && damage == Damage::SetAside {
            self.abandon();
            if let Err(error) = self.files.set_aside(now_ms, &mut self.notes) {
                self.notes.push(error.to_string());
            }
        } else if is_full(error) {
            self.was_full = true;
            self.empty_wal();
        } else if !is_passing(error) && !is_damage(error) {
            self.failures += 1;
            if self.failures >= MAX_FAILURES {
                self.abandon();
            }
        }
    }

    /// Frees disk space: the WAL is longer than its contents, because it holds a page once for each
    /// write.
    fn empty_wal(&self) {
        if let Some((home, _)) = &self.open {
            home.db.empty_wal();
        }
    }

    fn abandon(&mut self) {
        if let Some((home, _)) = self.open.take() {
            home.db.abandon();
        }
    }

    fn reopened(&mut self, now_ms: u64) -> Result<(StoreHome, Mark), StoreError> {
        let described = |error: OpenError| StoreError(error.to_string());
        if !self.lock.is_at(&self.files.lock) {
            self.lock = self.files.lock(Duration::ZERO).map_err(described)?;
        }
        let (home, mark) = self.files.open(true, now_ms, &mut self.notes).map_err(described)?;
        if home.meta.store_id != self.since.0 {
            self.since = (home.meta.store_id, home.meta.run);
        }
        self.is_calling = false;
        Ok((home, mark))
    }

    /// Closes files that were deleted or replaced: the next process would not find them.
    fn check_files(&mut self) {
        let Some((home, mark)) = &self.open else { return };
        if home.db.header.identity().is_at(&self.files.db) && self.lock.is_at(&self.files.lock) {
            let wal = beside(&self.files.db, "-wal");
            if !wal.exists() {
                // The open connection still has the deleted WAL and can copy it into the database.
                self.notes.push(format!("{} was deleted; what was in it is kept", wal.display()));
                home.db.empty_wal();
                return self.abandon();
            }
            if !mark.is_at(&self.files.mark)
                && let (Ok((mark, _)), Some(open)) = (Mark::open(&self.files.mark), &mut self.open)
            {
                open.1 = mark;
            }
            return;
        }
        self.notes.push(format!("{} was deleted or replaced; it is opened anew", self.files.db.display()));
        self.abandon();
    }
}

impl Store for EmbeddedStore {
    fn append(&mut self, group: &[Batch], flush: bool) -> Result<Vec<usize>, StoreError> {
        self.call(Damage::SetAside, |home, mark, now_ms| {
            let newest = home.newest;
            let rejected = home.append(group, flush)?;
            if home.newest != newest {
                // The group is stored even if the mark cannot be written.
                let _ = mark.write(&home.seen(now_ms));
            }
            Ok(rejected)
        })
    }

    fn read(&mut self, name: &LogName, from: u64) -> Result<Option<Log>, StoreError> {
        self.call(Damage::Report, |home, _, _| home.read(name, from))
    }

    fn logs(&mut self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>, StoreError> {
        self.call(Damage::Report, |home, _, _| home.logs(after, limit))
    }

    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError> {
        let since = self.since.1;
        self.call(Damage::Report, |home, _, _| home.sweep(since, limit))
    }

    fn tend(&mut self) -> Result<(), StoreError> {
        self.check_files();
        self.call(Damage::SetAside, |home, mark, now_ms| {
            let tended = home.tend();
            let _ = mark.write(&home.seen(now_ms));
            tended
        })?;
        let failure = self.open.as_ref().and_then(|(home, _)| home.db.take_failure());
        failure.map_or(Ok(()), |failure| Err(StoreError(format!("a checkpoint failed: {failure}"))))
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
