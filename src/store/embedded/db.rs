//! Owns the connection that writes: its tables, its settings, and transactions. Nobody else speaks
//! SQL but `checkpoint`.

use std::{path::Path, sync::Arc, time::Duration};

use rusqlite::{Connection, Error, ErrorCode, MAIN_DB, OpenFlags, config::DbConfig, wal::CheckpointMode};

use super::{checkpoint::Checkpoints, file::FileHeader};
use crate::store::private;

pub(super) type Result<T> = std::result::Result<T, Error>;

/// How long a command waits for the other connection, which only ever makes checkpoints.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A log's head (see `head`) names its parts: segments of records, and the snapshot. Parts are appended and deleted,
/// never changed, so that the rooms that write together share pages. `groups` holds what is not in heads and parts yet.
pub(super) const TABLES: &str = "
    CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK (id = 1), body BLOB NOT NULL);
    CREATE TABLE runs(run INTEGER PRIMARY KEY, opened_ms INTEGER NOT NULL, alive_ms INTEGER NOT NULL);
    CREATE TABLE groups(n INTEGER PRIMARY KEY, run INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE logs(id INTEGER PRIMARY KEY, game TEXT NOT NULL UNIQUE, run INTEGER NOT NULL, head BLOB NOT NULL);
    CREATE INDEX logs_by_run ON logs(run);
    CREATE TABLE parts(id INTEGER PRIMARY KEY, body BLOB NOT NULL);
";

/// The order of the fields is the order in which they are dropped: the last connection to be closed makes the last checkpoint,
/// and closing the header's file earlier would drop SQLite's locks.
pub(super) struct Db {
    checkpoints: Checkpoints,
    pub(super) conn: Connection,
    pub(super) header: Arc<FileHeader>,
    is_synchronous: bool,
}

impl Db {
    /// Opens the file; creates it, empty, when there is none.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // SQLite would create it for everybody to read, and gives the WAL the mode of the database. Only a new file may be
        // opened here: closing one that SQLite has open would drop SQLite's locks. What fails here, SQLite finds as well.
        drop(private::options().write(true).create_new(true).open(path));
        let conn = connect(path)?;
        // Whether it can be read at all.
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        conn.set_prepared_statement_cache_capacity(32);
        let header = FileHeader::open(path).map(Arc::new).map_err(|error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
            Error::SqliteFailure(code, Some(error.to_string()))
        })?;
        let checkpoints = Checkpoints::start(connect(path)?, header.clone())?;
        Ok(Self { checkpoints, conn, header, is_synchronous: false })
    }

    /// Carries out `work` as a whole or not at all; `flush`ed to the disk, or only handed to the system.
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
            // Some errors roll back by themselves. Should this fail, the next BEGIN does, and the file is opened anew.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// Keeps the WAL within its bound; call it after writing.
    pub(super) fn check_wal(&mut self) {
        self.checkpoints.check(&self.conn);
    }

    /// Moves all of the WAL into the database; what fails is found when the file is opened again.
    pub(super) fn empty_wal(&self) {
        let _ = self.conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE);
    }

    /// What went wrong with checkpoints since the last call.
    pub(super) fn take_failure(&self) -> Option<String> {
        self.checkpoints.take_failure()
    }

    /// Leaves the files as they are: what lies at their paths may belong to somebody else by now.
    pub(super) fn abandon(self) {
        // What fails here would only have spared a checkpoint into a file that nobody finds.
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // The WAL's index is then memory of this process and not a file (`-shm`), and no lock is asked of the system for each
    // transaction: a sixth of the processor time of an event. No other process needs either: see `lock`.
    let conn = if cfg!(unix) {
        Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // A small page cache: what is read once per room is not worth memory. Pages are checked for sense as they are read.
    conn.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;
         PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;",
    )?;
    conn.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
    conn.query_row(&format!("PRAGMA journal_size_limit = {}", super::checkpoint::KEPT_WAL_BYTES), [], |_| Ok(()))?;
    Ok(conn)
}

/// What SQLite says, with no code of its own, of a header whose schema format it does not know.
const UNKNOWN_FORMAT: &str = "unsupported file format";

/// Whether an error says that the file's contents are wrong, as opposed to a file that cannot be read or written now.
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

/// Whether there is no room on the disk.
pub(super) fn is_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether the same connection may well succeed later.
pub(super) fn is_passing(error: &Error) -> bool {
    let passing = [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked, ErrorCode::OutOfMemory];
    is_full(error) || error.sqlite_error_code().is_some_and(|code| passing.contains(&code))
}
