//! Owns the embedded home: logs in one SQLite file under `DATA_DIR` (D2), and what happens when that file fails.
//!
//! A group is one row at the end of the table `groups`, however many rooms write. What those rows say of each log is its
//! *tail*, in memory; when all tails weigh too much, the oldest are *settled*: written to the heads and parts of their logs.
//! Every row has a sum, every log its positions; the *mark* beside the file tells an older file from the newest.
//! A data directory that is put back as a whole, mark included, cannot be told from one that was never ahead.

mod checkpoint;
mod db;
mod file;
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
use crate::protocol::GameId;

/// So many failures in a row, and the file is opened anew.
const MAX_FAILURES: u32 = 3;

/// Logs in one file of one directory, which belongs to this process alone.
pub struct EmbeddedStore {
    files: Files,
    lock: Lock,
    /// `None`: to be opened anew before the next call.
    open: Option<(StoreHome, Mark)>,
    /// The first run of this process, by store: what was written since may be in use.
    since: (u64, u64),
    failures: u32,
    /// The disk was full at the last failure.
    was_full: bool,
    /// A call has begun and not returned: it panicked.
    is_calling: bool,
    notes: Vec<String>,
    clock: fn() -> u64,
}

/// What to do about damage that a call comes across.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The call fails.
    Tell,
    /// The file cannot be written any more: it is set aside, and an empty one takes its place.
    SetAside,
}

impl EmbeddedStore {
    /// Opens the store of a directory, and creates both when they are not there. Waits up to `wait` for another process to
    /// give the directory up.
    ///
    /// # Errors
    /// When another process keeps the directory, or it cannot be written. A damaged file is no error: see [`Opened::notes`].
    pub fn open(dir: &Path, wait: Duration) -> Result<Opened, OpenError> {
        Self::open_at(dir, wait, unix_ms)
    }

    /// Opens the store of a directory that has one, at once, to look at it. Nothing is put aside.
    ///
    /// # Errors
    /// When there is none, when it is damaged as a whole, and like [`EmbeddedStore::open`].
    pub fn open_existing(dir: &Path) -> Result<Opened, OpenError> {
        let files = Files::of(dir);
        if !files.db.exists() {
            return Err(OpenError::Missing { dir: dir.into() });
        }
        Self::open_files(files, false, Duration::ZERO, unix_ms)
    }

    /// `clock` gives unix milliseconds.
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

    /// Calls the home, opens it before where necessary, and deals with what fails.
    fn call<R>(
        &mut self,
        damage: Damage,
        call: impl FnOnce(&mut StoreHome, &mut Mark, u64) -> rusqlite::Result<R>,
    ) -> Result<R, StoreError> {
        if self.is_calling {
            // What a panic has left in memory is not known; what is on the disk is.
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

    /// A WAL is longer than what it holds: pages are in it as often as they were written.
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
        let told = |error: OpenError| StoreError(error.to_string());
        if !self.lock.is_at(&self.files.lock) {
            self.lock = self.files.lock(Duration::ZERO).map_err(told)?;
        }
        let (home, mark) = self.files.open(true, now_ms, &mut self.notes).map_err(told)?;
        if home.meta.store_id != self.since.0 {
            self.since = (home.meta.store_id, home.meta.run);
        }
        self.is_calling = false;
        Ok((home, mark))
    }

    /// Gives a file up that others would not find any more.
    fn check_files(&mut self) {
        let Some((home, mark)) = &self.open else { return };
        if home.db.header.identity().is_at(&self.files.db) && self.lock.is_at(&self.files.lock) {
            let wal = beside(&self.files.db, "-wal");
            if !wal.exists() {
                // What is in it can still be moved to the database, by the connection that has it open.
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
                // The group is stored whatever becomes of the mark.
                let _ = mark.write(&home.seen(now_ms));
            }
            Ok(rejected)
        })
    }

    fn read(&mut self, game: &GameId, from: u64) -> Result<Option<Log>, StoreError> {
        self.call(Damage::Tell, |home, _, _| home.read(game, from))
    }

    fn games(&mut self, after: Option<&GameId>, limit: usize) -> Result<Vec<GameId>, StoreError> {
        self.call(Damage::Tell, |home, _, _| home.games(after, limit))
    }

    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError> {
        let since = self.since.1;
        self.call(Damage::Tell, |home, _, _| home.sweep(since, limit))
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
