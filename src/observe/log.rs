//! Owns the logging pipeline: level filter, bounded queue, writer thread, stdout. Every layer logs
//! through the `slog::Logger` it is given.

use std::{
    io::{self, IsTerminal, Write},
    panic::RefUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use slog::{BorrowedKV, Drain, KV, Never, OwnedKVList, Record, RecordStatic, SingleKV};
use slog_async::{AsyncCore, AsyncGuard};

pub(crate) use super::{
    events::{SecurityFields, heartbeat, security},
    line::render,
    recent::Recent,
};
use super::{
    recent::Noting,
    refusals::{HeldLines, Sampled},
    report::Reporting,
};

/// Records waiting for the writer. When it is full new records are dropped, counted, and the count
/// is logged later: a stalled stdout never stalls a room.
pub(crate) const MAX_QUEUED_RECORDS: usize = 4096;

/// How long dropping the guard waits for the writer if stdout is not read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the log checks for held refusals that are due.
const HELD_INTERVAL: Duration = Duration::from_millis(250);

/// How a line looks; either way one record is one line of stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people: `2026-11-21T04:00:00.123Z INFO  [SECURITY] WS_CONNECTION_ESTABLISHED game=x
    /// player=y`.
    Text,
    /// For machines: one object with `timestamp`, `level`, `message`, then the key-value pairs.
    Json,
}

impl Format {
    /// Text when stdout is a terminal, JSON elsewhere.
    pub(crate) fn for_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// The least severe level that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn slog(self) -> slog::Level {
        match self {
            Self::Debug => slog::Level::Debug,
            Self::Info => slog::Level::Info,
            Self::Warn => slog::Level::Warning,
            Self::Error => slog::Level::Error,
        }
    }
}

// Process-wide, as stdout is; so the metrics need no reference to the logger.
static DROPPED_LINES: AtomicU64 = AtomicU64::new(0);

/// Records lost to a full queue since the process began.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED_LINES.load(Relaxed)
}

/// Starts the writer thread. Keep the guard until the last line is written: later records are lost.
pub(crate) fn start(format: Format, level: Level) -> (slog::Logger, LogGuard) {
    start_with(io::stdout(), format, level, MAX_QUEUED_RECORDS)
}

/// As [`start`], to any writer and with a queue of `max_records`. For tests and for embedding.
pub(crate) fn start_with<W>(out: W, format: Format, level: Level, max_records: usize) -> (slog::Logger, LogGuard)
where
    W: Write + Send + 'static,
{
    let sink = LogSink { format, out: Mutex::new(Box::new(out)) };
    let (core, worker) = AsyncCore::custom(sink).chan_size(max_records).thread_name("log".into()).build_with_guard();
    let queue = Arc::new(LineQueue { core, unreported: AtomicU64::new(0) });
    let recent = Arc::<Recent>::default();
    let next = slog::LevelFilter::new(Arc::clone(&queue), level.slog()).ignore_res();
    let drain = Arc::new(Sampled::before(Reporting::before(Noting { recent: Arc::clone(&recent), next })));
    let (alive, ended) = mpsc::channel::<()>();
    let held: Arc<dyn HeldLines> = drain.clone();
    let ticking = Arc::clone(&held);
    // If the thread cannot start, held lines are logged when the log ends.
    let _ = thread::Builder::new().name("log-refusals".into()).spawn(move || {
        while ended.recv_timeout(HELD_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
            ticking.log_due(Instant::now(), false);
        }
    });
    let guard = LogGuard { queue, worker: Some(worker), recent, held, _alive: alive };
    (slog::Logger::root(drain, slog::o!()), guard)
}

/// Writes what is queued when dropped, waiting at most 2 s.
#[must_use = "dropping the guard ends the log"]
pub(crate) struct LogGuard {
    queue: Arc<LineQueue>,
    worker: Option<AsyncGuard>,
    recent: Arc<Recent>,
    held: Arc<dyn HeldLines>,
    /// Dropping it ends the thread that logs held lines.
    _alive: mpsc::Sender<()>,
}

impl LogGuard {
    /// The newest security lines of this log.
    pub(crate) fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.recent)
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        self.held.log_due(Instant::now(), true);
        self.queue.report_dropped(&slog::o!().into());
        // AsyncGuard's own drop waits for the writer without limit, and the writer waits for the
        // reader of stdout.
        let (done, written) = mpsc::channel();
        let worker = self.worker.take();
        let _ = thread::Builder::new().name("log-flush".into()).spawn(move || {
            drop(worker);
            let _ = done.send(());
        });
        let _ = written.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// The key under which the moment of logging travels to the writer thread; it is no kv of the line.
pub(super) const STAMP_KEY: &str = "@at_ms";

struct LineQueue {
    core: AsyncCore,
    unreported: AtomicU64,
}

// slog wants drains that survive unwinding. AsyncCore is a channel and a mutex that is locked only
// on drop.
impl RefUnwindSafe for LineQueue {}

impl LineQueue {
    /// Stamped here and not by the writer: a backlog must not make old events look new.
    fn push(&self, record: &Record<'_>, values: &OwnedKVList) -> bool {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let kv = (SingleKV(STAMP_KEY, at), Inner(record.kv()));
        let shape = RecordStatic { location: record.location(), level: record.level(), tag: record.tag() };
        self.core.log(&Record::new(&shape, record.msg(), BorrowedKV(&kv)), values).is_ok()
    }

    fn report_dropped(&self, values: &OwnedKVList) {
        let lost = self.unreported.swap(0, Relaxed);
        if lost == 0 {
            return;
        }
        let shape = slog::record_static!(slog::Level::Warning, "");
        let message = format_args!("log lines were dropped: stdout is too slow");
        let kv = SingleKV("count", lost);
        if !self.push(&Record::new(&shape, &message, BorrowedKV(&kv)), values) {
            self.unreported.fetch_add(lost, Relaxed);
        }
    }
}

impl Drain for LineQueue {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        self.report_dropped(values);
        if !self.push(record, values) {
            self.unreported.fetch_add(1, Relaxed);
            DROPPED_LINES.fetch_add(1, Relaxed);
        }
        Ok(())
    }
}

// BorrowedKV borrows twice; this lets it sit in a tuple of kvs.
struct Inner<'a>(BorrowedKV<'a>);

impl KV for Inner<'_> {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn slog::Serializer) -> slog::Result {
        self.0.serialize(record, serializer)
    }
}

struct LogSink {
    format: Format,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Drain for LogSink {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let mut line = render(self.format, SystemTime::now(), record, values);
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // If stdout is gone there is no place to report it; the server continues.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
        Ok(())
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
