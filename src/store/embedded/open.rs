//! Owns opening a data directory: the lock, the mark, the database, and setting unusable files
//! aside.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    EmbeddedStore,
    db::{Db, is_damage},
    file::{FileHeader, beside, has_content, set_aside},
    home::StoreHome,
    load::{LoadError, load},
    lock::{Lock, LockError},
    mark::{Mark, MarkState},
    meta::{FORMAT, Meta},
};
use crate::store::private;

/// An open store.
pub struct Opened {
    pub store: EmbeddedStore,
    /// Sentences for the operator: what was damaged or too old, and where it was put.
    pub notes: Vec<String>,
}

/// Why a data directory cannot be used. `Display` is for the operator.
#[derive(Debug)]
pub enum OpenError {
    /// Another process uses it; `pid` is that process, if the lock file names it.
    Locked { dir: PathBuf, pid: Option<u32> },
    /// The directory contains no store.
    Missing { dir: PathBuf },
    /// A newer version of the server wrote it.
    Newer { dir: PathBuf, format: u32 },
    /// The directory cannot be read or written.
    Io { dir: PathBuf, reason: String },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { dir, pid: Some(pid) } => {
                write!(f, "another process (pid {pid}) uses the data directory {}", dir.display())
            }
            Self::Locked { dir, pid: None } => write!(f, "another process uses the data directory {}", dir.display()),
            Self::Missing { dir } => write!(f, "there is no store in the data directory {}", dir.display()),
            Self::Newer { dir, format } => {
                write!(
                    f,
                    "the data directory {} was written by a newer version (format {format}, this one knows {FORMAT}); \
                     start that version, or put back a copy from before its first start",
                    dir.display()
                )
            }
            Self::Io { dir, reason } => write!(f, "the data directory {} cannot be used: {reason}", dir.display()),
        }
    }
}

impl std::error::Error for OpenError {}

/// Paths of a data directory's files.
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) db: PathBuf,
    pub(super) mark: PathBuf,
    pub(super) lock: PathBuf,
}

impl Files {
    pub(super) fn of(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            db: dir.join("innkeeper.db"),
            mark: dir.join("innkeeper.mark"),
            lock: dir.join("innkeeper.lock"),
        }
    }

    fn io(&self, error: impl fmt::Display) -> OpenError {
        OpenError::Io { dir: self.dir.clone(), reason: error.to_string() }
    }

    /// Creates the directory and locks it against other processes.
    pub(super) fn lock(&self, wait: Duration) -> Result<Lock, OpenError> {
        private::create_dir(&self.dir).map_err(|error| self.io(error))?;
        Lock::take(&self.lock, wait).map_err(|error| match error {
            LockError::Held(pid) => OpenError::Locked { dir: self.dir.clone(), pid },
            LockError::Io(error) => self.io(error),
        })
    }

    /// Opens a run. Sets unusable files aside if `may_repair`; otherwise leaves them and fails.
    pub(super) fn open(
        &self,
        may_repair: bool,
        now_ms: u64,
        notes: &mut Vec<String>,
    ) -> Result<(StoreHome, Mark), OpenError> {
        self.close_to_others(notes);
        let (mut mark, seen) = Mark::open(&self.mark).map_err(|error| self.io(error))?;
        if !may_repair && self.has_foreign_wal(seen) {
            return Err(
                self.io("the database is damaged or not the one its WAL belongs to; the server will put one aside")
            );
        }
        let home = match self.load(seen, now_ms, notes) {
            Err(error) if error.is_damage() && !may_repair => {
                return Err(self.io("the database is damaged; the server will put it aside and begin an empty one"));
            }
            Err(error) if error.is_damage() => {
                self.set_aside(now_ms, notes)?;
                self.load(seen, now_ms, notes)
            }
            loaded => loaded,
        };
        let home = home.map_err(|error| match error {
            LoadError::Newer(format) => OpenError::Newer { dir: self.dir.clone(), format },
            LoadError::Sqlite(error) => self.io(error),
            LoadError::Unreadable => self.io("the database cannot be read"),
        })?;
        mark.write(&home.seen(now_ms)).map_err(|error| self.io(error))?;
        Ok((home, mark))
    }

    fn load(&self, seen: Option<MarkState>, now_ms: u64, notes: &mut Vec<String>) -> Result<StoreHome, LoadError> {
        let is_older = self.has_older_file(seen);
        if self.has_foreign_wal(seen) {
            // SQLite would apply one database's pages to another.
            let name = set_aside(&self.wal(), now_ms / 1000).map_err(LoadError::from)?;
            notes.push(format!("a WAL that belongs to another database was put aside as {}", name.display()));
        }
        load(Db::open(&self.db)?, seen, is_older, now_ms, notes)
    }

    /// Removes other users' access to files that an older version created.
    fn close_to_others(&self, notes: &mut Vec<String>) {
        for path in [&self.db, &self.wal(), &beside(&self.db, "-shm"), &self.mark, &self.lock] {
            if let Err(error) = private::close_file(path) {
                notes.push(format!("other users may be able to read {}: {error}", path.display()));
            }
        }
        if private::is_writable_by_others(&self.dir) {
            let dir = self.dir.display();
            notes.push(format!("other users can replace the files in {dir}; close it to them: chmod 700 {dir}"));
        }
    }

    fn wal(&self) -> PathBuf {
        beside(&self.db, "-wal")
    }

    fn has_foreign_wal(&self, seen: Option<MarkState>) -> bool {
        has_content(&self.wal()) && (!has_content(&self.db) || self.has_older_file(seen))
    }

    /// Returns true if the database file, without its WAL, is older than it was when the mark was
    /// written. A file of another store counts as put there on purpose, unless there is a WAL,
    /// which may belong to the file before it.
    fn has_older_file(&self, seen: Option<MarkState>) -> bool {
        let has_wal = has_content(&self.wal());
        let (Some(seen), Ok(header)) = (seen, FileHeader::open(&self.db)) else { return false };
        match header.tag() {
            0 => false,
            tag if tag == Meta::tag(seen.store_id) => (header.version().wrapping_sub(seen.version) as i32) < 0,
            _ => has_wal,
        }
    }

    /// Renames the database and its companions, to make room for an empty one.
    pub(super) fn set_aside(&self, now_ms: u64, notes: &mut Vec<String>) -> Result<(), OpenError> {
        let parts = [self.db.clone(), beside(&self.db, "-wal"), beside(&self.db, "-shm")];
        for path in parts.iter().filter(|path| path.exists()) {
            let name = set_aside(path, now_ms / 1000).map_err(|error| self.io(error))?;
            notes.push(format!("{} is damaged and was put aside as {}", path.display(), name.display()));
        }
        Ok(())
    }
}

impl LoadError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_damage(error),
            Self::Unreadable => true,
            Self::Newer(_) => false,
        }
    }
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        Self::Sqlite(rusqlite::Error::SqliteFailure(code, Some(error.to_string())))
    }
}
