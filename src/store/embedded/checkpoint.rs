//! Owns checkpoints: a thread that moves what the WAL holds into the database, and the bound on the
//! WAL. Writers never wait for the bulk of a checkpoint.

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
/// The thread sets to work when this much of the WAL is not in the database: pages that change often are moved once.
const START_BYTES: i64 = 8 << 20;
/// The WAL starts over when it is this long and all of it is in the database ...
const RESTART_BYTES: i64 = 24 << 20;
/// ... but for so little that the writer moves it itself, between two groups.
const REST_BYTES: i64 = 1 << 20;
/// How often the thread goes over the WAL at most before it is asked again.
const MAX_PASSES: usize = 6;
/// The WAL's bound: here the writer waits until all of it is in the database.
const MAX_BYTES: i64 = 64 << 20;
/// What the WAL's file keeps when it starts over: writing over a file is cheaper than making it longer, and making it shorter
/// costs the writer the time in which the disk is told what it may forget.
pub(super) const KEPT_WAL_BYTES: i64 = MAX_BYTES;
/// For how long it waits for the thread at most: on a disk that is this slow the WAL may be longer.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// The WAL is measured at every so many transactions.
const MEASURE_EVERY: u32 = 8;

pub(super) struct Checkpoints {
    /// Dropped first: the thread ends when nobody can ask any more.
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
    /// `conn` is the thread's own.
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

    /// Looks how long the WAL is and has something done about it. What fails is kept for [`Checkpoints::take_failure`]:
    /// what was written is written.
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
            // SQLite does not wait for a checkpoint that is being made.
            let until = Instant::now() + MAX_WAIT;
            while self.shared.is_busy.load(Ordering::Acquire) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.shared.checkpoint(conn, CheckpointMode::RESTART);
        } else if length >= RESTART_BYTES && rest <= REST_BYTES && is_idle {
            // Nothing is added to the WAL meanwhile, so the next write begins at its start.
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
        // SQLite flushes the database only when it has moved all of the WAL, which the writer's last step does. What is on
        // the disk by then, the writer need not wait for. Each pass is shorter than the one before it, as less was written
        // meanwhile, until so little is left that the writer can take it over.
        for _ in 0..MAX_PASSES {
            shared.checkpoint(conn, CheckpointMode::PASSIVE);
            // If it fails, the writer's own flush will, too.
            let _ = shared.header.flush();
            let rest = conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::NOOP).map(|state| bytes(state).1);
            if rest.is_ok_and(|rest| rest <= REST_BYTES / 2) {
                break;
            }
        }
        shared.is_busy.store(false, Ordering::Release);
    }
}

/// How long the WAL is, and how much of it is not in the database.
fn bytes((length, moved): (i32, i32)) -> (i64, i64) {
    (i64::from(length) * PAGE_BYTES, i64::from(length - moved) * PAGE_BYTES)
}
