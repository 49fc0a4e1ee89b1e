//! Owns the tests of a bus's log: what is written is read back, with numbers that never fall.
//! `tests/contract/hub/stored.rs` kills real servers.

use std::time::Duration;

use proptest::prelude::*;
use slog::{Discard, Logger, o};

use super::*;
use crate::{
    observe::metrics::Metrics,
    store::{Batch, Change, JournalSetting, KeyHash, Outcome, Store as _},
};

fn topic(number: usize) -> Topic {
    Topic::parse(&format!("topic {number}")).expect("a name")
}

/// Opens a bus with its log in `home`, as a starting server does.
fn open(home: &BusHome, max_topics: usize) -> (Bus, bool) {
    let id = HubId::parse("lobby").expect("an id");
    let mut bus = Bus::new(&id, home, max_topics);
    let log = home.memory.lock().expect("a lock").read(&LogName::Bus(id.clone()), 0).expect("a log");
    let is_whole = bus.open(log.as_ref(), 0);
    (bus, is_whole)
}

fn publication(number: usize, data: &str) -> Publication {
    Publication { topic: topic(number), data: RawJson::from_serialize(&data), key: None, unix_ms: 0 }
}

fn write(bus: &mut Bus, number: usize, data: &str) -> Result<u64, PublishError> {
    let (answer, _) = oneshot::channel();
    bus.write(publication(number, data), answer).map(|(_, item)| seq_of(&item))
}

fn seq_of(item: &BusItem) -> u64 {
    let (BusItem::Value { seq, .. } | BusItem::Repeat { seq, .. }) = item;
    *seq
}

fn values(bus: &Bus) -> Vec<(Topic, u64, RawJson)> {
    bus.values().map(|(topic, seq, data)| (topic.clone(), seq, data.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn h1_d1_whatever_was_written_is_there_after_each_start_and_numbers_go_on(
        steps in prop::collection::vec((0..8_usize, 0..3000_usize), 1..200),
        starts in prop::collection::btree_set(0..200_usize, 0..5),
    ) {
        let home = BusHome::new(None, false);
        let (mut bus, _) = open(&home, 5);
        let mut model = BTreeMap::new();
        for (at, (number, length)) in steps.into_iter().enumerate() {
            if starts.contains(&at) {
                let before = values(&bus);
                let (opened, is_whole) = open(&home, 5);
                prop_assert!(is_whole);
                prop_assert_eq!(values(&opened), before);
                bus = opened;
            }
            let data = "x".repeat(length);
            if !model.contains_key(&number) && model.len() == 5 {
                prop_assert_eq!(write(&mut bus, number, &data), Err(PublishError::Full));
                continue;
            }
            let (seq, last) = model.entry(number).or_insert((0, String::new()));
            *seq += 1;
            prop_assert_eq!(write(&mut bus, number, &data), Ok(*seq));
            *last = data;
        }
        let (bus, _) = open(&home, 5);
        let found: BTreeMap<_, _> = values(&bus).into_iter().map(|(topic, seq, data)| (topic, (seq, data))).collect();
        let expected: BTreeMap<_, _> =
            model.into_iter().map(|(number, (seq, data))| (topic(number), (seq, RawJson::from_serialize(&data)))).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn h1_numbers_rise_above_those_that_a_damaged_log_may_have_lost() {
    let home = BusHome::new(None, false);
    let (mut bus, _) = open(&home, 5);
    (0..3).for_each(|_| drop(write(&mut bus, 1, "x")));
    let mut log = home.memory.lock().expect("a lock").read(bus.log_name(), 0).expect("a log").expect("a log");
    log.is_intact = false;
    log.records.drop_first(2);
    log.first += 2;
    assert!(!is_whole(&log));
    let (mut after, _) = open(&BusHome::new(None, false), 5);
    assert!(!after.open(Some(&log), 0));
    assert_eq!(values(&after), [(topic(1), 3, RawJson::from_serialize(&"x"))]);
    let known = write(&mut after, 1, "y").expect("a number");
    let new = write(&mut after, 2, "z").expect("a number");
    assert!(known > NUMBERS_OF_A_LIFE && new > NUMBERS_OF_A_LIFE);
    let junk = Log { snapshot: b"junk".to_vec(), is_intact: true, ..log };
    assert!(!is_whole(&junk) && !after.open(Some(&junk), 0));
}

#[test]
fn d1_whoever_wrote_before_the_log_was_begun_anew_is_rejected() {
    let home = BusHome::new(None, false);
    let (mut old, _) = open(&home, 5);
    assert_eq!(write(&mut old, 1, "a"), Ok(1));
    let (mut new, _) = open(&home, 5);
    let (answer, _) = oneshot::channel();
    let (appended, _) = old.write(publication(1, "lost"), answer).expect("written");
    assert_eq!(appended, Appended::Settled(crate::store::Outcome::Rejected));
    assert_eq!(write(&mut new, 1, "b"), Ok(2));
    assert_eq!(values(&open(&home, 5).0), [(topic(1), 2, RawJson::from_serialize(&"b"))]);
}

/// Later versions must read what older ones have written: these bytes may not change.
#[test]
fn the_format_is_what_it_was() {
    let home = BusHome::new(None, false);
    let (mut bus, _) = open(&home, 5);
    drop(write(&mut bus, 7, "x"));
    let log = home.memory.lock().expect("a lock").read(bus.log_name(), 0).expect("a log").expect("a log");
    assert_eq!(log.snapshot, b"\x02\x00\x00\x00");
    assert_eq!(log.records.iter().collect::<Vec<_>>(), [&b"\x00\x07topic 7\x01\x03\"x\""[..]]);
    let second = bus.known.image(0);
    assert_eq!(second, b"\x02\x00\x01\x00\x07topic 7\x01\x03\"x\"\x00");
    let first = b"\x01\x00\x01\x00\x07topic 7\x01\x03\"x\"".to_vec();
    for snapshot in [second, first] {
        let change = Change::Begin { snapshot, records: Records::default(), replace: true };
        let batch = Batch { name: bus.log_name().clone(), change };
        home.memory.lock().expect("a lock").append(&[batch], false).expect("written");
        assert_eq!(values(&open(&home, 5).0), values(&bus));
    }
}

#[test]
fn e1_keys_are_known_again_from_records_and_from_an_image() {
    let home = BusHome::new(None, false);
    let (mut bus, _) = open(&home, 5);
    let key = IdempotencyKey { key: KeyHash::of("k"), body: BodyHash::of(b"1") };
    let (answer, _) = oneshot::channel();
    let (_, item) = bus.write(Publication { key: Some(key), ..publication(1, "x") }, answer).expect("written");
    let other = IdempotencyKey { body: BodyHash::of(b"2"), ..key };
    // The first start reads a record, the second the image that the first one began its log with.
    for _ in 0..3 {
        assert_eq!(bus.known(&key, 1), Ok(Some(seq_of(&item))));
        assert_eq!(bus.known(&other, 1), Err(PublishError::Mismatch));
        assert_eq!(bus.known(&IdempotencyKey { key: KeyHash::of("l"), ..key }, 1), Ok(None));
        (bus, _) = open(&home, 5);
    }
}

#[test]
fn e1_a_repeat_waits_until_everything_before_it_is_stored() {
    let setting = JournalSetting { interval: Duration::ZERO, max_queue_bytes: 1 << 20 };
    let (logger, metrics) = (Logger::root(Discard, o!()), Metrics::new("test"));
    let journal = Journal::start(Box::<MemoryStore>::default(), setting, logger, metrics).expect("a thread");
    let (mut bus, _) = open(&BusHome::new(Some(journal), false), 5);
    let (value, (repeat, mut repeated)) = (oneshot::channel().0, oneshot::channel());
    let (appended, item) = bus.write(publication(1, "x"), value).expect("written");
    let Appended::Pending(ticket) = appended else { panic!("a journal takes time") };
    bus.appender().defer(ticket, item);
    bus.repeat(7, repeat);
    assert!(repeated.try_recv().is_err());
    let mut items = Vec::new();
    while items.len() < 2 {
        items.extend(bus.appender().next());
        std::thread::yield_now();
    }
    assert!(matches!(items[..], [(Outcome::Stored, BusItem::Value { .. }), (Outcome::Stored, BusItem::Repeat { .. })]));
    let (mut bus, _) = open(&BusHome::new(None, false), 5);
    let (answer, mut answered) = oneshot::channel();
    write(&mut bus, 1, "x").expect("written");
    bus.repeat(1, answer);
    assert_eq!(answered.try_recv(), Ok(1), "memory stores at once");
}
