//! Owns the bound on the bytes of all rooms' histories together (S14). Past it, the rooms that were
//! quiet longest drop their oldest events.

use std::{
    cell::Cell,
    collections::BTreeMap,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::Instant,
};

use crate::{clock, observe::metrics::Metrics};

/// How many bytes a shard gains or loses at most before it adds them to the ledger.
const MAX_STEP: usize = 64 * 1024;
/// How many rooms one step examines at most, so that no step delays its shard for long. Between two
/// steps the histories gain `MAX_STEP` bytes, which are fewer events than this. So one step covers
/// all rooms whose place in the order has become outdated meanwhile.
const LOOKS: usize = 1024;

/// Asks a room to drop this many bytes of its history, oldest events first.
pub(super) type Cut = Box<dyn Fn(usize) + Send + Sync>;

/// The total of the process. Its one lock is taken by a room when it ends, and for its first event
/// after its history was empty or cut; by a shard when the bound is exceeded.
pub(crate) struct Ledger {
    bound: usize,
    total: AtomicI64,
    /// The bytes that all rooms together were asked to drop and have not dropped yet.
    promised: AtomicUsize,
    next: AtomicU64,
    quiet: Mutex<Quiet>,
    metrics: Arc<Metrics>,
}

/// The histories that have bytes to drop, by the time they were touched, and by number. A history
/// that is touched again keeps its old place until a step finds it at the front.
type Quiet = BTreeMap<(u64, u64), Arc<LedgerEntry>>;

struct LedgerEntry {
    number: u64,
    bytes: AtomicUsize,
    /// The bytes that the room was asked to drop and has not dropped yet.
    promised: AtomicUsize,
    /// When its newest event was made, in milliseconds since the process started.
    touched_ms: AtomicU64,
    /// The entry is in `Ledger::quiet`. Changed under the lock only.
    is_placed: AtomicBool,
    /// The time in its key there. Used under the lock only.
    place_ms: AtomicU64,
    cut: Cut,
}

/// A shard's part of the ledger: the bytes its rooms gained or lost since it last added them.
pub(crate) struct Till {
    ledger: Arc<Ledger>,
    pending: Cell<i64>,
}

/// One history's part of the ledger, for as long as the history lives.
pub(crate) struct Account {
    till: Rc<Till>,
    entry: Arc<LedgerEntry>,
}

impl Ledger {
    /// `bound` is `HISTORY_TOTAL_BYTES`.
    pub(crate) fn new(bound: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            bound,
            total: AtomicI64::new(0),
            promised: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            quiet: Mutex::default(),
            metrics,
        })
    }

    fn add(&self, bytes: i64) {
        let total = self.total.fetch_add(bytes, Relaxed) + bytes;
        self.metrics.history_bytes.set(total);
        if total > self.bound as i64 {
            self.relieve(total.max(0) as usize);
        }
    }

    /// Cuts to a sixteenth below the bound, so that not every step has to cut. Returns how many
    /// rooms it looked at.
    fn relieve(&self, total: usize) -> usize {
        // Another shard that holds the lock is relieving already, or holds it for a moment. The
        // next step tries again soon.
        let mut quiet = match self.quiet.try_lock() {
            Ok(quiet) => quiet,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return 0,
        };
        let left = total.saturating_sub(self.promised.load(Relaxed));
        if left <= self.bound {
            return 0;
        }
        let mut excess = left - (self.bound - self.bound / 16);
        let mut looks = 0;
        while excess > 0
            && looks < LOOKS
            && let Some(((place_ms, _), entry)) = quiet.pop_first()
        {
            looks += 1;
            // Must precede the read of `bytes`: if the room gains bytes now, either this step reads
            // them, or the room finds itself without a place and takes one.
            entry.is_placed.store(false, SeqCst);
            let there = entry.bytes.load(SeqCst).saturating_sub(entry.promised.load(Relaxed));
            if there == 0 {
                continue;
            }
            let bytes = if entry.touched_ms.load(Relaxed) == place_ms { there.min(excess) } else { 0 };
            if bytes > 0 {
                entry.promised.fetch_add(bytes, Relaxed);
                self.promised.fetch_add(bytes, Relaxed);
                self.metrics.histories_cut.inc();
                (entry.cut)(bytes);
                excess -= bytes;
            }
            if bytes < there {
                place(&mut quiet, &entry);
            }
        }
        looks
    }

    fn quiet(&self) -> MutexGuard<'_, Quiet> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, entry: &LedgerEntry, bytes: usize) {
        let kept = entry.promised.load(Relaxed);
        let settled = kept.min(bytes);
        entry.promised.fetch_sub(settled, Relaxed);
        self.promised.fetch_sub(settled, Relaxed);
    }
}

fn place(quiet: &mut Quiet, entry: &Arc<LedgerEntry>) {
    if !entry.is_placed.swap(true, SeqCst) {
        let place_ms = entry.touched_ms.load(Relaxed);
        entry.place_ms.store(place_ms, Relaxed);
        quiet.insert((place_ms, entry.number), entry.clone());
    }
}

impl Till {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Rc<Self> {
        Rc::new(Self { ledger, pending: Cell::new(0) })
    }

    pub(crate) fn open(self: &Rc<Self>, cut: Cut) -> Account {
        let entry = Arc::new(LedgerEntry {
            number: self.ledger.next.fetch_add(1, Relaxed),
            bytes: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
            touched_ms: AtomicU64::new(0),
            is_placed: AtomicBool::new(false),
            place_ms: AtomicU64::new(0),
            cut,
        });
        Account { till: self.clone(), entry }
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
    /// Sets the bytes that the history takes now.
    pub(crate) fn set(&self, bytes: usize) {
        // No race: only the account's own thread writes this number.
        let before = self.entry.bytes.load(Relaxed);
        self.entry.bytes.store(bytes, SeqCst);
        if bytes > 0 && !self.entry.is_placed.load(SeqCst) {
            place(&mut self.till.ledger.quiet(), &self.entry);
        }
        self.till.add(bytes as i64 - before as i64);
    }

    /// Records when the newest event was made.
    pub(crate) fn touch(&self, made: Instant) {
        self.entry.touched_ms.store(clock::since_start(made).as_millis() as u64, Relaxed);
    }

    /// Records that the room has dropped `bytes` bytes it was asked to drop.
    pub(crate) fn settle(&self, bytes: usize) {
        self.till.ledger.settle(&self.entry, bytes);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let entry = &self.entry;
        let mut quiet = self.till.ledger.quiet();
        if entry.is_placed.load(SeqCst) {
            quiet.remove(&(entry.place_ms.load(Relaxed), entry.number));
        }
        drop(quiet);
        self.set(0);
        self.till.ledger.settle(entry, usize::MAX);
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
        // The rooms have 9000 bytes; 6000 stay.
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

    #[test]
    fn s14_a_step_looks_at_few_rooms_however_many_were_touched_and_cuts_the_quietest_still() {
        const ROOMS: usize = 20 * LOOKS;
        let ledger = Ledger::new(ROOMS * 1000, Metrics::new("test"));
        let till = Till::new(ledger.clone());
        let told: Arc<Mutex<Vec<usize>>> = Arc::default();
        let open = |room| {
            let told = told.clone();
            till.open(Box::new(move |_| told.lock().expect("the list").push(room)))
        };
        let accounts: Vec<_> = (0..ROOMS).map(open).collect();
        let now = Instant::now();
        for account in &accounts {
            account.touch(now);
            account.set(1000);
        }
        // Every room gets a newer event, so that every place in the order is outdated.
        let touched = |room: usize| now + Duration::from_millis(1 + (ROOMS - room) as u64);
        accounts.iter().enumerate().for_each(|(room, account)| account.touch(touched(room)));
        let total = ROOMS * 1000 + 1000;
        for step in 0..ROOMS / LOOKS {
            assert_eq!(ledger.relieve(total), LOOKS, "step {step}");
            assert!(told.lock().expect("the list").is_empty(), "step {step}: none is known to be the quietest");
        }
        assert_eq!(ledger.relieve(total), LOOKS);
        let quietest: Vec<_> = (0..ROOMS).rev().take(LOOKS).collect();
        assert_eq!(*told.lock().expect("the list"), quietest);
        assert_eq!(ledger.relieve(total), 0, "with what is promised the histories are within the bound");
    }

    #[test]
    fn s14_a_room_that_was_cut_is_not_looked_at_again_before_it_has_events() {
        let metrics = Metrics::new("test");
        let ledger = Ledger::new(16_000, metrics.clone());
        let till = Till::new(ledger.clone());
        let told: Told = Arc::default();
        let [first, second] = ["first", "second"].map(|name| open(&till, name, &told));
        let now = Instant::now();
        first.touch(now);
        first.set(1100);
        second.touch(now + Duration::from_millis(10));
        second.set(100_000);
        assert_eq!(*told.lock().expect("the list"), [("first", 1100), ("second", 85_000)]);
        first.set(0);
        first.settle(1100);
        second.set(15_000);
        second.settle(85_000);
        assert_eq!(ledger.relieve(17_000), 1, "only the second");
        first.touch(now + Duration::from_millis(5));
        first.set(500);
        second.settle(2000);
        assert_eq!(ledger.relieve(17_000), 2, "the first is back, and before the second");
        assert_eq!(told.lock().expect("the list")[3..], [("first", 500), ("second", 1500)]);
        drop((first, second));
        assert_eq!((ledger.promised.load(Relaxed), ledger.quiet().len()), (0, 0), "nothing is left over");
    }
}
