//! Owns the connection that writes: its tables, settings and transactions.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, Error, ErrorCode, MAIN_DB, OpenFlags, config::DbConfig, wal::CheckpointMode};

use super::{checkpoint::Checkpoints, file::FileHeader};
use crate::store::private;

pub(super) type Result<T> = std::result::Result<T, Error>;

/// How long a command waits for the other connection, which only makes checkpoints.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A log's head (see `head`) names its parts: segments of records, and the snapshot. Parts are
/// inserted and deleted, never changed, so rooms that write together share pages. `groups` holds
/// what is not in heads and parts yet.
pub(super) const TABLES: &str = "
    CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
    CREATE TABLE runs(run INTEGER PRIMARY KEY, opened_ms INTEGER NOT NULL, alive_ms INTEGER NOT NULL);
    CREATE TABLE groups(n INTEGER PRIMARY KEY, run INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE logs(id INTEGER PRIMARY KEY, game TEXT NOT NULL UNIQUE, run INTEGER NOT NULL, head BLOB NOT NULL);
    CREATE INDEX logs_by_run ON logs(run);
    CREATE TABLE parts(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
";

/// The order of the fields is the order in which they are dropped: the last connection to close
/// makes the last checkpoint, and closing the header's file earlier would drop SQLite's locks.
pub(super) struct Db {
    checkpoints: Checkpoints,
    pub(super) conn: Connection,
    pub(super) header: Arc<FileHeader>,
    is_synchronous: bool,
}

impl Db {
    /// Opens the file; creates an empty one if there is none.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // SQLite would create the file readable for all users, and it gives the WAL the same mode.
        // Only a new file may be opened here: closing a file that SQLite has open would drop
        // SQLite's locks. Errors are ignored because SQLite meets them as well.
        drop(private::options().write(true).create_new(true).open(path));
        let conn = connect(path)?;
        // Fails early if the file cannot be read at all.
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        conn.set_prepared_statement_cache_capacity(32);
        let header = FileHeader::open(path).map(Arc::new).map_err(|error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
            Error::SqliteFailure(code, Some(error.to_string()))
        })?;
        let checkpoints = Checkpoints::start(connect(path)?, header.clone())?;
        Ok(Self { checkpoints, conn, header, is_synchronous: false })
    }

    /// Runs `work` in a transaction. With `flush` the commit waits for the disk; otherwise the data
    /// is only handed to the system.
    pub(super) fn transaction<R>(&mut self, flush: bool, work: impl FnOnce(&Connection) -> Result<R>) -> Result<R> {
        if self.is_synchronous != flush {
            self.conn.execute_batch(if flush { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" })?;
            self.is_synchronous = flush;
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = work(&self.conn).and_then(|result| {
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(result)
        });
        if done.is_err() && !self.conn.is_autocommit() {
            // Some errors roll back by themselves. If this fails, the next BEGIN fails, and the
            // store reopens the file.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// Keeps the WAL within its bound; call this after writing.
    pub(super) fn check_wal(&mut self) {
        self.checkpoints.check(&self.conn);
    }

    /// Copies all of the WAL into the database and truncates it. An error here shows when the file
    /// is opened again.
    pub(super) fn empty_wal(&self) {
        let _ = self.conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE);
    }

    /// Takes the last failure of a checkpoint since the previous call.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.checkpoints.take_failure()
    }

    /// Closes without a checkpoint: another process's files may be at these paths by now.
    pub(super) fn abandon(self) {
        // A failure only costs a needless checkpoint into a file that has no path any more.
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // With this VFS the WAL's index is in this process's memory instead of a file (`-shm`), and a
    // transaction takes no file lock: that saves a sixth of the processor time of an event. No
    // other process needs either: see `lock`.
    let conn = if cfg!(unix) {
        Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // A small page cache, because pages are read about once per room. SQLite checks each page's
    // structure when it reads it.
    conn.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
    )?;
    conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    conn.query_row(&format!("PRAGMA journal_size_limit = {}", super::checkpoint::KEPT_WAL_BYTES), [], |_| Ok(()))?;
    Ok(conn)
}

/// SQLite's message, without a code of its own, for a header with an unknown schema format.
const UNKNOWN_FORMAT: &str = "unsupported file format";

/// Returns true if the error means that the file's contents are wrong, not that the file cannot be
/// read or written at the moment.
pub(super) fn is_damage(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, message) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
                || message.as_deref() == Some(UNKNOWN_FORMAT)
        }
        Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::FromSqlConversionFailure(..)
        | Error::Utf8Error(..)
        | Error::QueryReturnedNoRows => true,
        _ => false,
    }
}

/// Returns true if the disk is full.
pub(super) fn is_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Returns true if the same connection may succeed later.
pub(super) fn is_passing(error: &Error) -> bool {
    let passing = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::OutOfMemory];
    is_full(error) || error.sqlite_error_code().is_some_and(|code| passing.contains(&code))
}
