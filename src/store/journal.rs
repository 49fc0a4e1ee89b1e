//! Owns the journal: one thread that writes the batches of all rooms and event buses in groups, and
//! notifies the shards when a group is stored.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use slog::{Logger, error, info, warn};
use tokio::sync::{Notify, oneshot};

use super::{Batch, Change, Log, Store, StoreError};
use crate::{observe::metrics::Metrics, store::LogName};

/// Interval of the store's housekeeping.
const TEND_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before the next attempt to write a group: at first this, then doubled up to [`MAX_RETRY`].
const MIN_RETRY: Duration = Duration::from_millis(20);
const MAX_RETRY: Duration = Duration::from_secs(1);
/// More rejections than can be on their way to their rooms at once, so that dropping older ones is
/// safe.
const MAX_REJECTED: usize = 100_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct JournalSetting {
    /// The least time between the starts of two groups: under load groups become larger, not more.
    pub interval: Duration,
    /// Bound of the queue; over it, rooms wait (see [`Journal::space`]).
    pub max_queue_bytes: usize,
}

/// Access to a store for all threads.
#[derive(Clone)]
pub(crate) struct Journal(Arc<JournalShared>);

pub(super) struct JournalShared {
    queue: Mutex<BatchQueue>,
    work: Condvar,
    setting: JournalSetting,
    /// All batches up to this ticket are stored or rejected.
    settled: AtomicU64,
    /// Tickets of rejected batches, ascending, the newest [`MAX_REJECTED`].
    rejected: Mutex<Vec<u64>>,
    any_rejected: AtomicBool,
    failing: AtomicBool,
    /// Weight of the batches that are queued or in the group being written.
    bytes: AtomicUsize,
    space: Notify,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct BatchQueue {
    batches: Vec<Batch>,
    /// The newest batch's ticket.
    ticket: u64,
    /// A queued batch asks for a flush.
    flush: bool,
    wakers: Vec<Arc<ShardWaker>>,
    requests: Vec<StoreTask>,
    /// The writer is waiting for work.
    idle: bool,
    closing: bool,
}

/// A task for the writer's thread, which runs after all batches submitted before it; gets `Err`
/// while those cannot be written.
type StoreTask = Box<dyn FnOnce(Result<&mut dyn Store, StoreError>) + Send>;

/// Wakes one shard.
#[derive(Default)]
pub(super) struct ShardWaker {
    pub(super) settled: Notify,
    /// The queue contains a batch of this shard. Written under the queue's lock.
    waiting: AtomicBool,
}

impl Journal {
    /// Starts the writer's thread.
    ///
    /// # Errors
    /// Fails if the system cannot start a thread.
    pub(crate) fn start(
        store: Box<dyn Store>,
        setting: JournalSetting,
        logger: Logger,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(JournalShared {
            queue: Mutex::default(),
            work: Condvar::new(),
            setting,
            settled: AtomicU64::new(0),
            rejected: Mutex::default(),
            any_rejected: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            space: Notify::new(),
            thread: Mutex::default(),
        });
        let writer = JournalWriter { shared: shared.clone(), store, logger, metrics, tended: Instant::now() };
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || writer.run())?;
        *lock(&shared.thread) = Some(thread);
        Ok(Self(shared))
    }

    /// Returns true while the store fails to write; rooms then accept nothing (D5).
    pub(crate) fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Acquire)
    }

    /// Returns true if the queue is over its bound.
    pub(crate) fn is_full(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) > self.0.setting.max_queue_bytes
    }

    /// Resolves when the queue is within its bound, or when the store fails: rooms then refuse
    /// requests instead of waiting (D5).
    pub(crate) async fn space(&self) {
        loop {
            let space = self.0.space.notified();
            if !self.is_full() || self.is_failing() {
                return;
            }
            space.await;
        }
    }

    /// Reads the whole log, including all batches submitted before.
    ///
    /// # Errors
    /// Fails if the store cannot be read at the moment.
    pub(crate) async fn read(&self, name: LogName) -> Result<Option<Log>, StoreError> {
        self.ask(move |store| store.read(&name, 0)).await
    }

    /// See [`Store::logs`].
    ///
    /// # Errors
    /// Fails if the store cannot be read at the moment.
    pub(crate) async fn logs(&self, after: Option<LogName>, limit: usize) -> Result<Vec<LogName>, StoreError> {
        self.ask(move |store| store.logs(after.as_ref(), limit)).await
    }

    /// See [`Store::sweep`].
    ///
    /// # Errors
    /// Fails if the store cannot write at the moment.
    pub(crate) async fn sweep(&self, limit: usize) -> Result<usize, StoreError> {
        self.ask(move |store| store.sweep(limit)).await
    }

    async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Store) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.request(Box::new(move |store| {
            // The caller may be gone.
            let _ = answer.send(store.and_then(|store| guarded(|| question(store))));
        }));
        answered.await.unwrap_or_else(|_| Err(StoreError("the journal is closed".into())))
    }

    fn request(&self, request: StoreTask) {
        let mut queue = lock(&self.0.queue);
        if !queue.closing {
            queue.requests.push(request);
            self.0.wake(&mut queue);
        }
    }

    /// Queues a batch and returns its ticket. After each group the journal wakes `waker`;
    /// [`Journal::is_settled`] then shows whether the batch was in it.
    pub(super) fn submit(&self, batch: Batch, flush: bool, waker: &Arc<ShardWaker>) -> u64 {
        self.0.bytes.fetch_add(weight(&batch), Ordering::Relaxed);
        let mut queue = lock(&self.0.queue);
        queue.batches.push(batch);
        queue.ticket += 1;
        queue.flush |= flush;
        if !waker.waiting.swap(true, Ordering::Relaxed) {
            queue.wakers.push(waker.clone());
        }
        self.0.wake(&mut queue);
        queue.ticket
    }

    pub(super) fn is_settled(&self, ticket: u64) -> bool {
        self.0.settled.load(Ordering::Acquire) >= ticket
    }

    /// Returns true if a settled batch did not fit its log.
    pub(super) fn is_rejected(&self, ticket: u64) -> bool {
        self.0.any_rejected.load(Ordering::Acquire) && lock(&self.0.rejected).binary_search(&ticket).is_ok()
    }

    /// Writes what is queued, then ends the thread and closes the store. Blocks; call it when no
    /// room writes any more.
    pub(crate) fn close(&self) {
        let mut queue = lock(&self.0.queue);
        queue.closing = true;
        self.0.work.notify_one();
        drop(queue);
        let thread = lock(&self.0.thread).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl JournalShared {
    fn wake(&self, queue: &mut BatchQueue) {
        if queue.idle {
            queue.idle = false;
            self.work.notify_one();
        }
    }
}

/// The writer's thread.
struct JournalWriter {
    shared: Arc<JournalShared>,
    store: Box<dyn Store>,
    logger: Logger,
    metrics: Arc<Metrics>,
    tended: Instant,
}

impl JournalWriter {
    fn run(mut self) {
        let shared = self.shared.clone();
        let mut begun: Option<Instant> = None;
        loop {
            let mut queue = self.wait_for_work(&shared);
            let pause = begun.map_or(Duration::ZERO, |begun| shared.setting.interval.saturating_sub(begun.elapsed()));
            if !pause.is_zero() && queue.requests.is_empty() && !queue.closing {
                drop(queue);
                std::thread::sleep(pause);
                queue = lock(&shared.queue);
            }
            let (batches, requests) = (std::mem::take(&mut queue.batches), std::mem::take(&mut queue.requests));
            let (flush, wakers, last) =
                (std::mem::take(&mut queue.flush), std::mem::take(&mut queue.wakers), queue.ticket);
            let closing = queue.closing;
            wakers.iter().for_each(|waker| waker.waiting.store(false, Ordering::Relaxed));
            drop(queue);
            if !batches.is_empty() {
                begun = Some(Instant::now());
                if !self.write(&batches, flush, last) {
                    return;
                }
                wakers.iter().for_each(|waker| waker.settled.notify_one());
            }
            for request in requests {
                request(Ok(&mut *self.store));
            }
            if closing || self.tended.elapsed() >= TEND_INTERVAL {
                self.tend();
            }
            if closing {
                return;
            }
        }
    }

    fn wait_for_work<'a>(&mut self, shared: &'a JournalShared) -> MutexGuard<'a, BatchQueue> {
        let mut queue = lock(&shared.queue);
        while queue.batches.is_empty() && queue.requests.is_empty() && !queue.closing {
            if self.tended.elapsed() >= TEND_INTERVAL {
                // Without the lock, because rooms must not wait for housekeeping.
                drop(queue);
                self.tend();
                queue = lock(&shared.queue);
                continue;
            }
            queue.idle = true;
            let waited = shared.work.wait_timeout(queue, TEND_INTERVAL);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.idle = false;
        }
        queue
    }

    /// Writes a group; retries until it succeeds (D5). Returns `false` if the journal closes while
    /// the store fails: the group is lost, but no client has seen it.
    fn write(&mut self, batches: &[Batch], flush: bool, last: u64) -> bool {
        let shared = self.shared.clone();
        let mut retry = MIN_RETRY;
        let mut is_last = false;
        let begun = Instant::now();
        let rejected = loop {
            match guarded(|| self.store.append(batches, flush)) {
                Ok(rejected) => break rejected,
                Err(error) => {
                    self.tell_notes();
                    if !shared.failing.swap(true, Ordering::AcqRel) {
                        self.metrics.store_failing.set(1);
                        shared.space.notify_waiters();
                        error!(self.logger, "the store fails; rooms stop accepting"; "error" => %error);
                    }
                    if is_last {
                        error!(self.logger, "stopping while the store fails"; "batches" => batches.len());
                        return false;
                    }
                    // A closing journal makes one last attempt.
                    is_last = !self.rest(retry, &error);
                    retry = (retry * 2).min(MAX_RETRY);
                }
            }
        };
        if shared.failing.swap(false, Ordering::AcqRel) {
            self.metrics.store_failing.set(0);
            info!(self.logger, "the store works again");
        }
        if !rejected.is_empty() {
            warn!(self.logger, "writes did not fit their logs; their rooms begin again"; "batches" => rejected.len());
            let first = last + 1 - batches.len() as u64;
            let mut known = lock(&shared.rejected);
            known.extend(rejected.iter().map(|index| first + *index as u64));
            let old = known.len().saturating_sub(MAX_REJECTED);
            known.drain(..old);
            drop(known);
            shared.any_rejected.store(true, Ordering::Release);
        }
        shared.settled.store(last, Ordering::Release);
        let bytes: usize = batches.iter().map(weight).sum();
        shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        shared.space.notify_waiters();
        self.metrics.store_group(batches.len(), bytes, begun.elapsed());
        true
    }

    /// Waits before the next attempt and answers tasks with the failure meanwhile. Returns `false`
    /// if the journal closes.
    fn rest(&mut self, pause: Duration, error: &StoreError) -> bool {
        let until = Instant::now() + pause;
        let mut queue = lock(&self.shared.queue);
        loop {
            let requests = std::mem::take(&mut queue.requests);
            if !requests.is_empty() {
                drop(queue);
                requests.into_iter().for_each(|request| request(Err(error.clone())));
                queue = lock(&self.shared.queue);
            }
            let left = until.saturating_duration_since(Instant::now());
            if queue.closing || left.is_zero() {
                return !queue.closing;
            }
            queue.idle = true;
            queue = self.shared.work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
            queue.idle = false;
        }
    }

    fn tell_notes(&mut self) {
        for note in guarded(|| Ok(self.store.take_notes())).unwrap_or_default() {
            warn!(self.logger, "{note}");
        }
    }

    fn tend(&mut self) {
        if let Err(error) = guarded(|| self.store.tend()) {
            warn!(self.logger, "the store cannot be tended"; "error" => %error);
        }
        self.tell_notes();
        self.tended = Instant::now();
    }
}

/// Turns a panic of the store into an error: if the thread ended, every room would wait for ever.
fn guarded<R>(call: impl FnOnce() -> Result<R, StoreError>) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(StoreError("the store panicked".into())))
}

fn weight(batch: &Batch) -> usize {
    let payload = match &batch.change {
        Change::Begin { snapshot, records, .. } => snapshot.len() + records.as_bytes().len(),
        Change::Append { records, snapshot, .. } => {
            records.as_bytes().len() + snapshot.as_ref().map_or(0, |snapshot| snapshot.body.len())
        }
        Change::Remove { .. } => 0,
    };
    payload + size_of::<Batch>()
}

/// Ignores poisoning: every critical section leaves the queue consistent, even if it panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
