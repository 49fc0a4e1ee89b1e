//! Owns the tests of the journal and the appender: order, visibility, grouping, and a failing
//! store. Only the housekeeping of an idle journal waits for time to pass.

use std::{
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use slog::{Discard, Logger, o};

use super::{
    Appended, Appender, Batch, Journal, JournalSetting, Log, MemoryStore, Outcome, Store, StoreError,
    contract_tests::{append, begin, id},
    faulty::Faults,
};
use crate::{observe::metrics::Metrics, store::LogName};

/// Longer than any step takes; only a failing test waits this long.
const FOREVER: Duration = Duration::from_secs(30);

/// A journal whose store the test can inspect.
struct World {
    faults: Faults,
    memory: Arc<Mutex<MemoryStore>>,
    journal: Journal,
    metrics: Arc<Metrics>,
}

/// The memory store, shared with the test.
struct Shared(Arc<Mutex<MemoryStore>>);

impl Store for Shared {
    fn append(&mut self, group: &[Batch], flush: bool) -> Result<Vec<usize>, StoreError> {
        self.0.lock().unwrap().append(group, flush)
    }

    fn read(&mut self, game: &LogName, from: u64) -> Result<Option<Log>, StoreError> {
        self.0.lock().unwrap().read(game, from)
    }

    fn logs(&mut self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>, StoreError> {
        self.0.lock().unwrap().logs(after, limit)
    }

    fn sweep(&mut self, limit: usize) -> Result<usize, StoreError> {
        self.0.lock().unwrap().sweep(limit)
    }
}

impl World {
    fn new() -> Self {
        Self::with_queue(1 << 20)
    }

    fn with_queue(max_queue_bytes: usize) -> Self {
        let (faults, memory, metrics) = (Faults::default(), Arc::default(), Metrics::new("test"));
        let store = Box::new(faults.wrap(Shared(Arc::clone(&memory))));
        let setting = JournalSetting { interval: Duration::from_millis(1), max_queue_bytes };
        let journal = Journal::start(store, setting, Logger::root(Discard, o!()), metrics.clone()).unwrap();
        Self { faults, memory, journal, metrics }
    }

    fn appender(&self) -> Rc<Appender<u64>> {
        Appender::journal(self.journal.clone())
    }

    fn count(&self, game: &str) -> Option<u64> {
        self.memory.lock().unwrap().read(&id(game), 0).unwrap().map(|log| log.records.len())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.faults.set(|state| {
            (state.holds, state.holds_tend, state.failing_appends, state.panics) = (false, false, 0, 0);
        });
        self.journal.close();
    }
}

fn write(appender: &Appender<u64>, batch: Batch, name: u64) {
    match appender.append(batch, false) {
        Appended::Pending(ticket) => appender.defer(ticket, name),
        Appended::Settled(outcome) => panic!("the journal settles nothing at once: {outcome:?}"),
    }
}

/// Returns the first `count` deferred values as they come back.
fn settle(appender: &Appender<u64>, count: usize) -> Vec<(Outcome, u64)> {
    let mut settled = Vec::new();
    block_on(async {
        while settled.len() < count {
            match appender.next() {
                Some(one) => settled.push(one),
                None => appender.settled().await,
            }
        }
    });
    settled
}

fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(FOREVER, future).await.expect("it comes to an end") })
}

#[test]
fn s3_a_batch_is_settled_only_when_the_home_has_stored_it() {
    let world = World::new();
    let appender = world.appender();
    world.faults.set(|state| state.holds = true);
    write(&appender, begin("g", "s", &["0"]), 1);
    world.faults.wait_until(|state| state.groups.len() == 1);
    assert_eq!((appender.next(), world.count("g")), (None, None));
    world.faults.set(|state| state.holds = false);
    assert_eq!(settle(&appender, 1), [(Outcome::Stored, 1)]);
    assert_eq!(world.count("g"), Some(1));
}

#[test]
fn d3_what_comes_while_a_group_is_written_is_the_next_group() {
    let world = World::new();
    let (one, other) = (world.appender(), world.appender());
    world.faults.set(|state| state.holds = true);
    write(&one, begin("g", "s", &[]), 0);
    world.faults.wait_until(|state| state.groups.len() == 1);
    for position in 0..50 {
        write(&one, append("g", position, &["x"]), position + 1);
        write(&other, begin(&format!("h{position}"), "s", &[]), position);
    }
    world.faults.set(|state| state.holds = false);
    let expected = |names: std::ops::Range<u64>| names.map(|name| (Outcome::Stored, name)).collect::<Vec<_>>();
    assert_eq!(settle(&one, 51), expected(0..51));
    assert_eq!(settle(&other, 50), expected(0..50));
    assert_eq!(world.faults.groups(), [(1, false), (100, false)]);
}

#[test]
fn d1_a_group_is_flushed_when_one_of_its_batches_wants_it() {
    let world = World::new();
    let appender = world.appender();
    world.faults.set(|state| state.holds = true);
    write(&appender, begin("g", "s", &[]), 0);
    world.faults.wait_until(|state| state.groups.len() == 1);
    let Appended::Pending(flushed) = appender.append(begin("h", "s", &[]), true) else { panic!("settled at once") };
    appender.defer(flushed, 1);
    write(&appender, begin("i", "s", &[]), 2);
    world.faults.set(|state| state.holds = false);
    settle(&appender, 3);
    write(&appender, begin("j", "s", &[]), 3);
    settle(&appender, 1);
    assert_eq!(world.faults.groups(), [(1, false), (2, true), (1, false)]);
}

#[test]
fn d5_a_failing_home_is_tried_again_and_whoever_asks_meanwhile_hears_of_it() {
    let world = World::new();
    let appender = world.appender();
    world.faults.set(|state| state.failing_appends = u32::MAX);
    write(&appender, begin("g", "s", &["0"]), 1);
    world.faults.wait_until(|state| state.groups.len() >= 3);
    assert!(appender.is_failing());
    assert_eq!(world.metrics.store_failing.get(), 1);
    assert_eq!(appender.next(), None);
    assert_eq!(block_on(appender.read(id("g"))).unwrap_err().0, "failing as told");
    world.faults.set(|state| state.failing_appends = 0);
    assert_eq!(settle(&appender, 1), [(Outcome::Stored, 1)]);
    assert_eq!((appender.is_failing(), world.metrics.store_failing.get()), (false, 0));
    assert_eq!(block_on(appender.read(id("g"))).unwrap().unwrap().records.len(), 1);
}

#[test]
fn a_read_sees_every_batch_that_was_submitted_before_it() {
    let world = World::new();
    let appender = world.appender();
    world.faults.set(|state| state.holds = true);
    write(&appender, begin("g", "s", &["0"]), 1);
    write(&appender, append("g", 1, &["1"]), 2);
    let release = world.faults.clone();
    let read = block_on(async {
        let read = appender.read(id("g"));
        release.set(|state| state.holds = false);
        read.await
    });
    assert_eq!(read.unwrap().unwrap().records.len(), 2);
}

#[test]
fn a_batch_that_does_not_fit_is_rejected_and_no_other() {
    let world = World::new();
    let (one, other) = (world.appender(), world.appender());
    world.faults.set(|state| state.holds = true);
    write(&one, begin("g", "s", &[]), 0);
    world.faults.wait_until(|state| state.groups.len() == 1);
    write(&one, append("g", 0, &["x"]), 1);
    write(&other, append("g", 0, &["too late"]), 2);
    write(&other, begin("h", "s", &[]), 3);
    write(&one, append("g", 7, &["ahead"]), 4);
    write(&one, append("g", 1, &["x"]), 5);
    world.faults.set(|state| state.holds = false);
    let (stored, rejected) = (Outcome::Stored, Outcome::Rejected);
    assert_eq!(settle(&one, 4), [(stored, 0), (stored, 1), (rejected, 4), (stored, 5)]);
    assert_eq!(settle(&other, 2), [(rejected, 2), (stored, 3)]);
    assert_eq!(world.count("g"), Some(2));
}

#[test]
fn a_full_journal_has_space_again_when_its_queue_is_written() {
    let world = World::with_queue(500);
    let appender = world.appender();
    world.faults.set(|state| state.holds = true);
    assert!(appender.congested().is_none());
    write(&appender, begin("g", &"s".repeat(600), &[]), 0);
    let journal = appender.congested().expect("more is queued than may be");
    let release = world.faults.clone();
    block_on(async {
        let mut space = std::pin::pin!(journal.space());
        let still = tokio::time::timeout(Duration::ZERO, &mut space).await;
        assert!(still.is_err(), "there is space while the group is not written");
        release.set(|state| state.holds = false);
        space.await;
    });
    assert!(appender.congested().is_none());
}

#[test]
fn a_home_that_panics_is_a_home_that_fails() {
    let world = World::new();
    let appender = world.appender();
    world.faults.set(|state| state.panics = 2);
    write(&appender, begin("g", "s", &["0"]), 1);
    assert_eq!(settle(&appender, 1), [(Outcome::Stored, 1)]);
    world.faults.set(|state| state.panics = 1);
    assert_eq!(block_on(appender.read(id("g"))).unwrap_err().0, "the store panicked");
    write(&appender, append("g", 1, &["1"]), 2);
    assert_eq!(settle(&appender, 1), [(Outcome::Stored, 2)]);
    assert_eq!(block_on(appender.read(id("g"))).unwrap().unwrap().records.len(), 2);
}

#[test]
fn d4_closing_writes_what_is_queued() {
    let world = World::new();
    let appender = world.appender();
    world.faults.set(|state| state.holds = true);
    write(&appender, begin("g", "s", &[]), 0);
    world.faults.wait_until(|state| state.groups.len() == 1);
    (0..20).for_each(|position| write(&appender, append("g", position, &["x"]), position));
    let journal = world.journal.clone();
    let closing = std::thread::spawn(move || journal.close());
    world.faults.set(|state| state.holds = false);
    closing.join().unwrap();
    assert_eq!(world.count("g"), Some(20));
    assert!(block_on(world.journal.read(id("g"))).is_err(), "a closed journal answers");
}

#[test]
fn d4_a_journal_that_closes_while_its_home_fails_tries_once_more() {
    for recovers in [true, false] {
        let world = World::new();
        let appender = world.appender();
        world.faults.set(|state| state.failing_appends = u32::MAX);
        write(&appender, begin("g", "s", &["0"]), 1);
        world.faults.wait_until(|state| state.groups.len() >= 5);
        if recovers {
            world.faults.set(|state| state.failing_appends = 0);
        }
        world.journal.close();
        assert_eq!(world.count("g"), recovers.then_some(1));
    }
}

#[test]
fn rooms_write_while_an_idle_home_is_tended() {
    let world = World::new();
    world.faults.set(|state| state.holds_tend = true);
    world.faults.wait_until(|state| state.tends == 1);
    let journal = world.journal.clone();
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let appender = Appender::<u64>::journal(journal);
        let appended = appender.append(begin("g", "s", &[]), false);
        done.send(matches!(appended, Appended::Pending(_))).unwrap();
    });
    let submitted = is_done.recv_timeout(FOREVER);
    world.faults.set(|state| state.holds_tend = false);
    assert_eq!(submitted, Ok(true));
}
