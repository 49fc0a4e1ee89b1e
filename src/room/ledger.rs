//! Owns what the histories of all rooms take together, and its bound (S14): past it, those that
//! were quiet longest are cut. A room whose history is to be cut is told through its account.

use std::{
    cell::Cell,
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::{clock, observe::metrics::Metrics};

/// What a shard collects at most before it tells the others.
const MAX_STEP: usize = 64 * 1024;

/// Tells a room to drop so many bytes of its history, its oldest events.
pub type Cut = Box<dyn Fn(usize) + Send + Sync>;

/// The account of the whole process. One lock, taken when rooms open and end, and when the bound is reached.
pub struct Ledger {
    bound: usize,
    total: AtomicI64,
    next: AtomicU64,
    accounts: Mutex<BTreeMap<u64, Arc<HistoryBalance>>>,
    metrics: Arc<Metrics>,
}

struct HistoryBalance {
    bytes: AtomicUsize,
    /// What the room was told to drop and has not dropped yet.
    promised: AtomicUsize,
    /// When its newest event was made, in milliseconds since the process started.
    touched_ms: AtomicU64,
    cut: Cut,
}

/// A shard's part of the ledger: what its rooms gained and lost since it told the others.
pub struct Till {
    ledger: Arc<Ledger>,
    pending: Cell<i64>,
}

/// One history's part of the ledger, as long as it lives.
pub struct Account {
    till: Rc<Till>,
    number: u64,
    entry: Arc<HistoryBalance>,
}

impl Ledger {
    /// `bound` is `HISTORY_TOTAL_BYTES`.
    pub fn new(bound: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bound, total: AtomicI64::new(0), next: AtomicU64::new(0), accounts: Mutex::default(), metrics })
    }

    fn add(&self, bytes: i64) {
        let total = self.total.fetch_add(bytes, Relaxed) + bytes;
        self.metrics.history_bytes.set(total);
        if total > self.bound as i64 {
            self.relieve(total.max(0) as usize);
        }
    }

    /// Cuts a sixteenth below the bound, so that the rooms are not looked through for every event.
    fn relieve(&self, total: usize) {
        // Whoever has the lock relieves already, or opens a room: the next step comes soon.
        let Ok(accounts) = self.accounts.try_lock() else { return };
        let promised: usize = accounts.values().map(|entry| entry.promised.load(Relaxed)).sum();
        let left = total.saturating_sub(promised);
        if left <= self.bound {
            return;
        }
        let mut excess = left - (self.bound - self.bound / 16);
        let mut quiet: Vec<_> = accounts.values().map(|entry| (entry.touched_ms.load(Relaxed), entry)).collect();
        quiet.sort_by_key(|(touched, _)| *touched);
        for (_, entry) in quiet {
            let bytes = entry.bytes.load(Relaxed).saturating_sub(entry.promised.load(Relaxed)).min(excess);
            if bytes > 0 {
                entry.promised.fetch_add(bytes, Relaxed);
                self.metrics.histories_cut.inc();
                (entry.cut)(bytes);
                excess -= bytes;
            }
            if excess == 0 {
                break;
            }
        }
    }

    fn accounts(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<HistoryBalance>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Till {
    pub fn new(ledger: Arc<Ledger>) -> Rc<Self> {
        Rc::new(Self { ledger, pending: Cell::new(0) })
    }

    pub fn open(self: &Rc<Self>, cut: Cut) -> Account {
        let number = self.ledger.next.fetch_add(1, Relaxed);
        let entry = Arc::new(HistoryBalance {
            bytes: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
            touched_ms: AtomicU64::new(0),
            cut,
        });
        self.ledger.accounts().insert(number, entry.clone());
        Account { till: self.clone(), number, entry }
    }

    fn add(&self, bytes: i64) {
        let pending = self.pending.get() + bytes;
        let step = (self.ledger.bound / 64).min(MAX_STEP);
        if pending.unsigned_abs() as usize > step {
            self.pending.set(0);
            self.ledger.add(pending);
        } else {
            self.pending.set(pending);
        }
    }
}

impl Account {
    /// The history takes so many bytes from now on.
    pub fn set(&self, bytes: usize) {
        // Only its own thread writes this number.
        let before = self.entry.bytes.load(Relaxed);
        self.entry.bytes.store(bytes, Relaxed);
        self.till.add(bytes as i64 - before as i64);
    }

    /// The history has an event of this moment.
    pub fn touch(&self, made: Instant) {
        self.entry.touched_ms.store(clock::since_start(made).as_millis() as u64, Relaxed);
    }

    /// What the room was told to drop is dropped.
    pub fn settle(&self, bytes: usize) {
        let _ = self.entry.promised.fetch_update(Relaxed, Relaxed, |promised| Some(promised.saturating_sub(bytes)));
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.till.ledger.accounts().remove(&self.number);
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Told = Arc<Mutex<Vec<(&'static str, usize)>>>;

    fn open(till: &Rc<Till>, name: &'static str, told: &Told) -> Account {
        let told = told.clone();
        till.open(Box::new(move |bytes| told.lock().expect("the list").push((name, bytes))))
    }

    #[test]
    fn s14_past_the_bound_those_that_were_quiet_longest_are_cut_first_and_no_more_than_need_be() {
        let metrics = Metrics::new("test");
        let ledger = Ledger::new(6400, metrics.clone());
        let (here, there) = (Till::new(ledger.clone()), Till::new(ledger));
        let told: Told = Arc::default();
        let [quiet, middle, busy] =
            [(&here, "quiet"), (&there, "middle"), (&here, "busy")].map(|(till, name)| open(till, name, &told));
        let now = Instant::now();
        for (account, age) in [(&busy, 60), (&quiet, 0), (&middle, 30)] {
            account.touch(now + Duration::from_millis(age));
            account.set(2000);
        }
        assert!(told.lock().expect("the list").is_empty(), "within the bound nobody is cut");
        busy.set(5000);
        // 9000 there are; 6000 stay.
        assert_eq!(*told.lock().expect("the list"), [("quiet", 2000), ("middle", 1000)]);
        busy.set(5200);
        assert_eq!(told.lock().expect("the list").len(), 2, "what is promised counts as gone");
        quiet.set(0);
        quiet.settle(2000);
        middle.set(1000);
        middle.settle(1000);
        assert_eq!(told.lock().expect("the list").len(), 2);
        busy.set(9000);
        assert_eq!(told.lock().expect("the list")[2..], [("middle", 1000), ("busy", 3000)]);
        assert_eq!(metrics.histories_cut.get(), 4);
        drop((busy, middle, quiet));
        assert_eq!(here.pending.get() + there.pending.get() + metrics.history_bytes.get(), 0, "nothing is left over");
    }
}
