//! Owns checkpoints: a thread that copies the WAL into the database file, and the bound of the WAL.
//! The writer does not wait for a checkpoint until the WAL reaches [`MAX_BYTES`].

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rusqlite::{Connection, Error, ErrorCode, MAIN_DB, ffi, wal::CheckpointMode};

use super::{db::Result, file::FileHeader};

const PAGE_BYTES: i64 = 4096;
/// The thread starts when this much of the WAL is not in the database yet. Waiting saves work: a
/// page that changes often is copied once.
const START_BYTES: i64 = 8 << 20;
/// From this length on, the WAL starts over at its beginning, once all of it is in the database …
const RESTART_BYTES: i64 = 24 << 20;
/// … except for so little that the writer copies it itself, between two groups.
const REST_BYTES: i64 = 1 << 20;
/// Passes over the WAL that the thread makes at most for one request.
const MAX_PASSES: usize = 6;
/// The WAL's bound: at this length the writer waits until all of it is in the database.
const MAX_BYTES: i64 = 64 << 20;
/// The WAL file keeps this size when it starts over. Overwriting is cheaper than growing the file,
/// and truncating makes the writer wait while the disk discards the blocks.
pub(super) const KEPT_WAL_BYTES: i64 = MAX_BYTES;
/// The longest wait for the thread at the bound: on a slower disk the WAL may grow beyond it.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The WAL is measured once in this many transactions.
const MEASURE_EVERY: u32 = 8;

pub(super) struct Checkpoints {
    /// `drop` takes this first: the thread ends when its channel closes.
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<CheckpointShared>,
    transactions: u32,
}

struct CheckpointShared {
    header: Arc<FileHeader>,
    is_busy: AtomicBool,
    failure: Mutex<Option<String>>,
}

impl Checkpoints {
    /// Starts the thread. `conn` is for the thread alone.
    pub(super) fn start(conn: Connection, header: Arc<FileHeader>) -> Result<Self> {
        let shared = Arc::new(CheckpointShared { header, is_busy: AtomicBool::new(false), failure: Mutex::default() });
        let (ask, asked) = sync_channel(1);
        let work = shared.clone();
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || run(&conn, &asked, &work))
            .map_err(|error| Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_NOMEM), Some(error.to_string())))?;
        Ok(Self { ask: Some(ask), thread: Some(thread), shared, transactions: 0 })
    }

    /// Measures the WAL and starts a checkpoint if one is due. A failure does not affect what was
    /// written; it is kept for [`Checkpoints::take_failure`].
    pub(super) fn check(&mut self, conn: &Connection) {
        self.transactions = self.transactions.wrapping_add(1);
        if self.transactions.is_multiple_of(MEASURE_EVERY)
            && let Err(error) = self.measure(conn)
        {
            self.shared.failed(&error);
        }
    }

    fn measure(&self, conn: &Connection) -> Result<()> {
        let (length, rest) = bytes(conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::NOOP)?);
        let is_idle = !self.shared.is_busy.load(Ordering::Acquire);
        if length >= MAX_BYTES {
            // SQLite does not wait for a checkpoint of another connection, it fails with "busy".
            let until = Instant::now() + MAX_WAIT;
            while self.shared.is_busy.load(Ordering::Acquire) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.shared.checkpoint(conn, CheckpointMode::RESTART);
        } else if length >= RESTART_BYTES && rest <= REST_BYTES && is_idle {
            // The writer is here, so nothing is added to the WAL meanwhile, and the next write
            // starts it over.
            self.shared.checkpoint(conn, CheckpointMode::PASSIVE);
        } else if (rest >= START_BYTES || length >= RESTART_BYTES) && is_idle {
            self.shared.is_busy.store(true, Ordering::Release);
            if self.ask.as_ref().is_none_or(|ask| ask.try_send(()).is_err()) {
                self.shared.is_busy.store(false, Ordering::Release);
            }
        }
        Ok(())
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl CheckpointShared {
    fn checkpoint(&self, conn: &Connection, mode: CheckpointMode) {
        match conn.wal_checkpoint_v2(Some(MAIN_DB), mode) {
            Ok(_) => self.header.refresh(),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(conn: &Connection, asked: &Receiver<()>, shared: &CheckpointShared) {
    while asked.recv().is_ok() {
        // SQLite flushes the database only once all of the WAL is in it, which happens in the
        // writer's last step. What this thread flushed before, the writer need not wait for. Each
        // pass is shorter than the one before, because less was written meanwhile, until the writer
        // can take over the rest.
        for _ in 0..MAX_PASSES {
            shared.checkpoint(conn, CheckpointMode::PASSIVE);
            // If this fails, the writer's own flush fails too and reports it.
            let _ = shared.header.flush();
            let rest = conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::NOOP).map(|state| bytes(state).1);
            if rest.is_ok_and(|rest| rest <= REST_BYTES / 2) {
                break;
            }
        }
        shared.is_busy.store(false, Ordering::Release);
    }
}

/// Returns the WAL's length and how much of it is not in the database; in bytes.
fn bytes((length, moved): (i32, i32)) -> (i64, i64) {
    (i64::from(length) * PAGE_BYTES, i64::from(length - moved) * PAGE_BYTES)
}
