//! Owns the tests of bounds: files, rows and memory do not grow with a room's age.

use std::{fs, time::Instant};

use super::{EmbeddedStore, checkpoint, db, dir, has, killed, open, read, settle_all, wal, write, write_records};
use crate::store::{
    Batch, Store,
    contract_tests::{append, begin, id, snapshot},
};

fn count(store: &EmbeddedStore, table: &str) -> i64 {
    let (home, _) = store.open.as_ref().unwrap();
    home.db.conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[test]
fn a_room_that_lives_long_and_takes_snapshots_keeps_a_bounded_file() {
    let dir = dir();
    let mut store = open(dir.path());
    write(&mut store, &[begin("g", "s", &[])]);
    let record = "x".repeat(1000);
    for position in 0..30_000u64 {
        let batch = match position % 100 {
            99 => snapshot("g", position, &[&record], &"s".repeat(5000), position.saturating_sub(200)),
            _ => append("g", position, &[&record]),
        };
        write(&mut store, &[batch]);
        if position % 1000 == 0 {
            store.tend().unwrap();
        }
    }
    assert!(count(&store, "parts") < 100 && count(&store, "groups") < 6000);
    // The WAL's length depends on the disk's speed, up to a bound that has its own test below.
    checkpoint(&store);
    let size = fs::metadata(db(dir.path())).unwrap().len();
    assert!(size < 2 << 20, "30 MB of records, of which 300 KB are kept, take {size} bytes");
    let log = read(&mut store, "g").unwrap();
    assert_eq!((log.end(), log.snapshot_position, log.is_intact), (30_000, 30_000, true));
}

#[test]
fn a_room_that_writes_slowly_for_long_keeps_few_rows() {
    let dir = dir();
    let mut store = open(dir.path());
    write(&mut store, &[begin("g", "s", &[])]);
    for position in 0..600 {
        write_records(&mut store, "g", position, 1);
        settle_all(&mut store);
    }
    assert!(count(&store, "parts") <= 40, "{} rows", count(&store, "parts"));
    assert_eq!(count(&store, "groups"), 0);
    assert!(has(&mut store, "g", 600));
    drop(store);
    assert!(has(&mut open(dir.path()), "g", 600));
}

#[test]
fn snapshots_without_records_do_not_pile_up_as_groups() {
    let dir = dir();
    let mut store = open(dir.path());
    write(&mut store, &[begin("g", "s", &[]), begin("idle", "s", &[])]);
    let state = "s".repeat(100_000);
    (0..300).for_each(|_| write(&mut store, &[snapshot("g", 0, &[], &state, 0)]));
    assert!(count(&store, "groups") < 60, "{} groups", count(&store, "groups"));
    assert!(has(&mut store, "g", 0) && has(&mut store, "idle", 0));
}

#[test]
fn memory_holds_no_more_of_many_rooms_than_of_few() {
    let dir = dir();
    let mut store = open(dir.path());
    let body = "x".repeat(300);
    let rooms = 30_000;
    for first in (0..rooms).step_by(500) {
        let group: Vec<Batch> = (first..first + 500).map(|game| begin(&format!("g{game}"), &body, &[&body])).collect();
        write(&mut store, &group);
    }
    let (home, _) = store.open.as_ref().unwrap();
    assert!(home.tails.len() < 8_000, "{} tails", home.tails.len());
    assert!(home.ends.len() < 17_000, "{} ends", home.ends.len());
    checkpoint(&store);
    let copy = killed(dir.path());
    let begun = Instant::now();
    let mut reborn = open(copy.path());
    println!("opened with {rooms} rooms in {:?}", begun.elapsed());
    assert_eq!(reborn.logs(Some(&id("g29998")), 5).unwrap().len(), 5);
    for game in [0, 1, 7_777, 15_000, 29_999] {
        assert!(has(&mut reborn, &format!("g{game}"), 1));
    }
}

#[test]
fn the_wal_starts_over_while_rooms_write_on() {
    let dir = dir();
    let mut store = open(dir.path());
    write(&mut store, &[begin("g", "s", &[])]);
    let record = "x".repeat(100_000);
    let mut longest = 0;
    for position in 0..1500u64 {
        write(&mut store, &[snapshot("g", position, &[&record], "s", position)]);
        longest = longest.max(fs::metadata(wal(dir.path())).unwrap().len());
    }
    // Past 64 MiB the writer waits for the disk, for a limited time; the records alone are 150 MB.
    assert!(longest < 100 << 20, "the WAL was {longest} bytes long");
    let log = read(&mut store, "g").unwrap();
    assert_eq!((log.end(), log.is_intact), (1500, true));
}
