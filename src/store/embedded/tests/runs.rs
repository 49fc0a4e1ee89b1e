//! Owns the tests of runs: restarts, downtime and sweeping.

use std::time::Duration;

use super::{
    EmbeddedStore, OpenError, checkpoint, dir, has, inhabited, killed, open, open_by_clock, read, set_clock,
    settle_all, write, write_records,
};
use crate::store::{
    Store,
    contract_tests::{append, begin, id, replace, seed, snapshot},
};

#[test]
fn d1_a_process_that_is_killed_at_any_instant_loses_no_group() {
    let mut random = fastrand::Rng::with_seed(seed());
    let dir = dir();
    let mut store = open(dir.path());
    let mut ends = [0u64; 6];
    (0..6).for_each(|game| write(&mut store, &[begin(&format!("g{game}"), "state", &[])]));
    for _ in 0..12 {
        for _ in 0..random.usize(1..40) {
            let game = random.usize(..6);
            write_records(&mut store, &format!("g{game}"), ends[game], 1);
            ends[game] += 1;
        }
        match random.u8(..4) {
            0 => settle_all(&mut store),
            1 => checkpoint(&store),
            // Settles some tails out of order, as happens to large ones.
            2 => drop(store.open.as_mut().unwrap().0.settle_some(true, 1, 2).unwrap()),
            _ => {}
        }
        let copy = killed(dir.path());
        let mut reborn = open(copy.path());
        for (game, end) in ends.iter().enumerate() {
            assert!(has(&mut reborn, &format!("g{game}"), *end), "g{game} with {end}");
        }
    }
}

#[test]
fn what_was_removed_does_not_come_back_with_a_group_that_is_still_on_disk() {
    let dir = dir();
    let mut store = open(dir.path());
    write(&mut store, &[begin("old", "s", &[])]);
    write(&mut store, &[begin("g", "s", &["0"]), append("old", 0, &["0"])]);
    drop(store);
    let mut store = open(dir.path());
    // The large tail of `g` is settled before its turn; its group stays because `old` needs it.
    let large = "x".repeat(70_000);
    write(&mut store, &[append("g", 1, &[&large])]);
    let (home, _) = store.open.as_mut().unwrap();
    assert!(home.settle_some(false, 1, 1).unwrap());
    assert_eq!((home.tails.len(), home.meta.settled_through), (1, 0));
    drop(store);
    let mut store = open(dir.path());
    assert!(has(&mut store, "g", 2));
    assert_eq!(store.sweep(10).unwrap(), 2);
    assert_eq!(store.sweep(10).unwrap(), 0);
    assert_eq!(read(&mut store, "g"), None);
    drop(store);
    let mut store = open(dir.path());
    assert_eq!((read(&mut store, "g"), read(&mut store, "old")), (None, None));
}

#[test]
fn downtime_is_the_time_nobody_ran_since_the_log_was_written() {
    let dir = dir();
    set_clock(1_000);
    let mut store = open_by_clock(dir.path());
    write(&mut store, &[begin("settled", "s", &[]), begin("g", "s", &[])]);
    settle_all(&mut store);
    write(&mut store, &[append("g", 0, &["0"])]);
    set_clock(5_000);
    store.tend().unwrap();
    drop(store);
    set_clock(8_000);
    let mut store = open_by_clock(dir.path());
    let downtime = |store: &mut EmbeddedStore, game| read(store, game).unwrap().downtime.as_millis();
    assert_eq!((downtime(&mut store, "g"), downtime(&mut store, "settled")), (3_000, 3_000));
    write(&mut store, &[append("g", 1, &["1"])]);
    assert_eq!((downtime(&mut store, "g"), downtime(&mut store, "settled")), (0, 3_000));
    drop(store);
    // The clock was set back: the downtime is unknown, but not negative.
    set_clock(2_000);
    drop(open_by_clock(dir.path()));
    set_clock(2_500);
    let mut store = open_by_clock(dir.path());
    assert_eq!((downtime(&mut store, "g"), downtime(&mut store, "settled")), (500, 3_500));
}

#[test]
fn logs_of_earlier_runs_are_swept_in_portions_and_no_others() {
    let dir = dir();
    drop(inhabited(dir.path()));
    let mut store = open(dir.path());
    write_records(&mut store, "g7", 10, 1);
    write(&mut store, &[replace("g8", "anew"), begin("new", "s", &[])]);
    let portions: Vec<usize> = (0..5).map(|_| store.sweep(6).unwrap()).collect();
    assert_eq!(portions, [6, 6, 6, 0, 0]);
    let left = [id("g7"), id("g8"), id("new")];
    assert_eq!(store.logs(None, 100).unwrap(), left);
    assert!(has(&mut store, "g7", 11));
    settle_all(&mut store);
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.logs(None, 100).unwrap(), left);
    assert!(has(&mut store, "g7", 11));
}

#[test]
fn a_directory_belongs_to_one_process_which_is_named() {
    let dir = dir();
    let store = open(dir.path());
    let refused = EmbeddedStore::open(dir.path(), Duration::from_millis(60)).err().unwrap();
    assert!(matches!(refused, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{refused}");
    assert!(matches!(EmbeddedStore::open_existing(dir.path()), Err(OpenError::Locked { .. })));
    let path = dir.path().to_owned();
    let waiting = std::thread::spawn(move || EmbeddedStore::open(&path, Duration::from_secs(30)).map(drop));
    drop(store);
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_snapshot_that_stands_alone_is_kept_over_runs() {
    let dir = dir();
    let mut store = open(dir.path());
    write(&mut store, &[begin("g", "s", &["0", "1"]), snapshot("g", 2, &[], "all", 2)]);
    settle_all(&mut store);
    drop(store);
    let mut store = open(dir.path());
    let log = read(&mut store, "g").unwrap();
    assert_eq!((&log.snapshot[..], log.snapshot_position, log.first, log.is_intact), (&b"all"[..], 2, 2, true));
    assert!(log.records.is_empty());
    write(&mut store, &[append("g", 2, &["2"])]);
}
