//! Owns what the threads of a load share: its phases, and counts for the line of progress.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use hdrhistogram::Histogram;

use super::tally::LoadCounts;

/// What a thread has counted so far, and its latencies.
pub(super) type Progress = (LoadCounts, Histogram<u64>);

/// Times are nanoseconds since the run began; `u64::MAX` until they are known.
pub(super) struct Shared {
    /// Players that have been welcomed once, and those that will never be again.
    joined: AtomicUsize,
    stopped: AtomicUsize,
    measured_from: AtomicU64,
    end: AtomicU64,
    is_over: AtomicBool,
    is_interrupted: AtomicBool,
    /// Threads whose players have and gave everything.
    complete: AtomicUsize,
    progress: Vec<Mutex<Option<Progress>>>,
    /// Why a player last failed to come in, and why the first one stopped.
    last_failure: Mutex<Option<String>>,
    first_stop: Mutex<Option<String>>,
    /// Why a thread ended before the run was over.
    failure: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            joined: AtomicUsize::new(0),
            stopped: AtomicUsize::new(0),
            measured_from: AtomicU64::new(u64::MAX),
            end: AtomicU64::new(u64::MAX),
            is_over: AtomicBool::new(false),
            is_interrupted: AtomicBool::new(false),
            complete: AtomicUsize::new(0),
            progress: (0..threads).map(|_| Mutex::default()).collect(),
            last_failure: Mutex::default(),
            first_stop: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    pub(super) fn player_joined(&self) {
        self.joined.fetch_add(1, Relaxed);
    }

    pub(super) fn joined(&self) -> usize {
        self.joined.load(Relaxed)
    }

    pub(super) fn player_stopped(&self, why: String) {
        lock(&self.first_stop).get_or_insert(why);
        self.stopped.fetch_add(1, Relaxed);
    }

    pub(super) fn stopped(&self) -> usize {
        self.stopped.load(Relaxed)
    }

    pub(super) fn player_failed(&self, why: String) {
        *lock(&self.last_failure) = Some(why);
    }

    /// Why players are not in, in words.
    pub(super) fn why(&self) -> Option<String> {
        lock(&self.first_stop).clone().or_else(|| lock(&self.last_failure).clone())
    }

    pub(super) fn thread_failed(&self, why: String) {
        lock(&self.failure).get_or_insert(why);
    }

    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    pub(super) fn measure(&self, from: u64, end: u64) {
        self.measured_from.store(from, Relaxed);
        self.end.store(end, Relaxed);
    }

    pub(super) fn measured_from(&self) -> u64 {
        self.measured_from.load(Relaxed)
    }

    /// Nothing is due after this.
    pub(super) fn end(&self) -> u64 {
        self.end.load(Relaxed)
    }

    /// Ends the sending now, because the user asked for it.
    pub(super) fn interrupt(&self, now: u64) {
        self.is_interrupted.store(true, Relaxed);
        self.end.fetch_min(now, Relaxed);
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Relaxed)
    }

    pub(super) fn finish(&self) {
        self.is_over.store(true, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    pub(super) fn thread_is_complete(&self) {
        self.complete.fetch_add(1, Relaxed);
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Relaxed) == self.progress.len()
    }

    pub(super) fn publish(&self, thread: usize, progress: Progress) {
        *lock(&self.progress[thread]) = Some(progress);
    }

    /// The counts of all threads, and their latencies in one histogram.
    pub(super) fn progress(&self) -> Option<Progress> {
        let mut all: Option<Progress> = None;
        for slot in &self.progress {
            let Some((counts, latency)) = &*lock(slot) else { continue };
            match &mut all {
                None => all = Some((*counts, latency.clone())),
                Some((sum, joint)) => {
                    sum.add(counts);
                    let _ = joint.add(latency);
                }
            }
        }
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
