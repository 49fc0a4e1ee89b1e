//! Owns the tests of damage: whatever happens to the files, a log is complete or reads as not
//! intact (R3).

use std::{fs, time::Duration};

use rusqlite::Connection;

use super::{
    EmbeddedStore, checkpoint, db, dir, has, inhabited, killed, open, open_noted, read, settle_all, wal, write,
    write_records,
};
use crate::store::{
    Store,
    contract_tests::{append, begin, remove, replace, seed},
};

/// Checks that every log is complete, not intact, or gone. Unless `may_be_whole`, at least one must
/// not be complete.
fn no_log_pretends(store: &mut EmbeddedStore, may_be_whole: bool) {
    let mut whole = 0;
    for game in 0..20 {
        let name = format!("g{game}");
        let Some(log) = read(store, &name) else { continue };
        if log.is_intact {
            assert_eq!((log.first, log.records.len(), &log.snapshot[..]), (0, 10, &b"state"[..]), "{name}");
            whole += 1;
        }
        for (index, record) in log.records.iter().enumerate() {
            let expected = format!("{name}, record {}, ", log.first + index as u64);
            assert!(record.starts_with(expected.as_bytes()), "{name} has a wrong record");
        }
    }
    assert!(may_be_whole || whole < 20, "the damage went unnoticed");
}

/// Runs SQL on the files of a closed store.
fn tamper(dir: &std::path::Path, sql: &str) {
    let conn = Connection::open(db(dir)).unwrap();
    assert_ne!(conn.execute(sql, []).unwrap(), 0, "{sql}");
}

#[test]
fn r3_a_row_that_is_changed_or_lost_is_noticed_by_its_log_alone() {
    for sql in [
        "DELETE FROM parts WHERE id = (SELECT min(id) FROM parts)",
        "DELETE FROM parts WHERE id = (SELECT max(id) FROM parts)",
        "UPDATE parts SET body = zeroblob(length(body)) WHERE id = 5",
        "UPDATE parts SET body = body || x'00' WHERE id = 5",
        "UPDATE parts SET body = (SELECT body FROM parts WHERE id = 8) WHERE id = 6",
        "UPDATE logs SET head = (SELECT head FROM logs WHERE id = 2) WHERE id = 1",
        "UPDATE logs SET head = zeroblob(length(head)) WHERE id = 3",
        "UPDATE logs SET head = 7 WHERE id = 3",
        "UPDATE logs SET run = run + 1 WHERE id = 3",
    ] {
        let dir = dir();
        let mut store = inhabited(dir.path());
        settle_all(&mut store);
        drop(store);
        tamper(dir.path(), sql);
        let mut store = open(dir.path());
        no_log_pretends(&mut store, false);
        let damaged: Vec<String> =
            (0..20).map(|game| format!("g{game}")).filter(|game| !has(&mut store, game, 10)).collect();
        assert_eq!(damaged.len(), 1, "{sql}: {damaged:?}");
        // The log stays suspect until it begins anew.
        if store.append(&[append(&damaged[0], 10, &["more"])], false).unwrap().is_empty() {
            settle_all(&mut store);
        }
        assert!(!read(&mut store, &damaged[0]).unwrap().is_intact, "{sql}");
        write(&mut store, &[replace(&damaged[0], "anew")]);
        settle_all(&mut store);
        assert!(has(&mut store, &damaged[0], 0), "{sql}");
    }
}

#[test]
fn r3_a_group_that_is_changed_or_lost_makes_all_logs_suspect_once() {
    for sql in [
        "DELETE FROM groups WHERE n = (SELECT min(n) + 3 FROM groups)",
        "DELETE FROM groups WHERE n = (SELECT min(n) FROM groups)",
        "DELETE FROM groups WHERE n = (SELECT max(n) FROM groups)",
        "UPDATE groups SET body = zeroblob(length(body)) WHERE n = (SELECT max(n) FROM groups)",
        "UPDATE groups SET run = run + 1 WHERE n = (SELECT min(n) FROM groups)",
    ] {
        let dir = dir();
        drop(inhabited(dir.path()));
        tamper(dir.path(), sql);
        let (mut store, notes) = open_noted(dir.path());
        assert!(notes.contains("nothing written before now counts as complete"), "{sql}: {notes}");
        no_log_pretends(&mut store, false);
        assert!((0..20).all(|game| !has(&mut store, &format!("g{game}"), 10)), "{sql}");
        write(&mut store, &[begin("new", "s", &["0"])]);
        drop(store);
        // The note comes once. Later logs are not suspect, and earlier ones stay so.
        let mut store = open(dir.path());
        assert!(has(&mut store, "new", 1), "{sql}");
        assert!((0..20).all(|game| !has(&mut store, &format!("g{game}"), 10)), "{sql}");
    }
}

#[test]
fn r3_a_suspect_log_stays_suspect_through_writes_and_runs_until_it_begins_anew() {
    let dir = dir();
    drop(inhabited(dir.path()));
    tamper(dir.path(), "DELETE FROM groups WHERE n = (SELECT max(n) FROM groups)");
    let (mut store, _) = open_noted(dir.path());
    write_records(&mut store, "g3", 10, 1);
    write(&mut store, &[replace("g4", "anew"), remove("g5", 10), begin("g5", "s", &[])]);
    for _ in 0..2 {
        assert!(!read(&mut store, "g3").unwrap().is_intact);
        assert!(has(&mut store, "g4", 0) && has(&mut store, "g5", 0));
        settle_all(&mut store);
        assert!(!read(&mut store, "g3").unwrap().is_intact);
        assert!(has(&mut store, "g4", 0) && has(&mut store, "g5", 0));
        drop(store);
        store = open(dir.path());
    }
}

#[test]
fn r3_pages_that_are_garbled_anywhere_never_pass_for_what_was_written() {
    let mut random = fastrand::Rng::with_seed(seed());
    let dir = dir();
    let mut store = inhabited(dir.path());
    settle_all(&mut store);
    checkpoint(&store);
    drop(store);
    for _ in 0..60 {
        let copy = killed(dir.path());
        let mut bytes = fs::read(db(copy.path())).unwrap();
        let (at, length) = (random.usize(..bytes.len()), random.usize(1..600));
        bytes.iter_mut().skip(at).take(length).for_each(|byte| *byte = random.u8(..));
        fs::write(db(copy.path()), bytes).unwrap();
        let (mut store, _) = open_noted(copy.path());
        no_log_pretends(&mut store, true);
        // Rooms go on in any case: the second attempt at the latest stores the group.
        let group = [replace("g1", "anew")];
        store.append(&group, false).or_else(|_| store.append(&group, false)).unwrap();
        assert!(has(&mut store, "g1", 0), "at {at}, {length} bytes");
    }
}

#[test]
fn r3_whatever_byte_of_the_databases_header_is_wrong_the_store_opens_and_goes_on() {
    let dir = dir();
    let mut store = inhabited(dir.path());
    settle_all(&mut store);
    checkpoint(&store);
    drop(store);
    let whole = fs::read(db(dir.path())).unwrap();
    // Byte 18 may declare the file read-only. This may be damage or intent, so it stops the start.
    let places = (0..100).filter(|at| *at != 18);
    for (at, byte) in places.flat_map(|at| [0, 1, 3, 255].map(|byte| (at, byte))) {
        let copy = killed(dir.path());
        let mut bytes = whole.clone();
        bytes[at] = byte;
        fs::write(db(copy.path()), bytes).unwrap();
        let opened = EmbeddedStore::open(copy.path(), Duration::ZERO);
        let mut store = opened.unwrap_or_else(|error| panic!("byte {at} is {byte}: {error}")).store;
        no_log_pretends(&mut store, true);
        let group = [replace("g1", "anew")];
        let stored = store.append(&group, false).or_else(|_| store.append(&group, false));
        assert!(stored.is_ok() && has(&mut store, "g1", 0), "byte {at} is {byte}: {stored:?}");
    }
}

#[test]
fn r3_a_wal_that_lost_its_end_or_is_garbled_makes_all_logs_suspect() {
    let dir = dir();
    let mut store = inhabited(dir.path());
    let whole = killed(dir.path());
    assert!((0..20).all(|game| has(&mut store, &format!("g{game}"), 10)));
    let mut random = fastrand::Rng::with_seed(seed());
    let length = fs::metadata(wal(whole.path())).unwrap().len();
    for cut in [1, 4000, 4120, 9000, length / 2, length] {
        let copy = killed(whole.path());
        fs::File::options().write(true).open(wal(copy.path())).unwrap().set_len(length - cut).unwrap();
        let (mut store, notes) = open_noted(copy.path());
        assert!(notes.contains("older than it was, or lost its end"), "{cut}: {notes}");
        assert!((0..20).all(|game| !has(&mut store, &format!("g{game}"), 10)), "{cut}");
        no_log_pretends(&mut store, false);
    }
    for _ in 0..10 {
        let copy = killed(whole.path());
        let mut bytes = fs::read(wal(copy.path())).unwrap();
        let at = random.usize(32..bytes.len());
        bytes[at] ^= random.u8(1..);
        fs::write(wal(copy.path()), bytes).unwrap();
        let (mut store, _) = open_noted(copy.path());
        no_log_pretends(&mut store, false);
    }
}
