//! Owns what the tests of the embedded store share: directories, copies of them, and a clock that
//! stands still until it is set. The contract of every store is tested in `store::contract_tests`.

mod damage;
mod files;
mod growth;
mod runs;

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use super::{EmbeddedStore, OpenError, Opened};
use crate::store::{
    Batch, Log, Store,
    contract_tests::{append, begin, id},
};

fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Opens a directory and checks that there are no notes.
fn open(dir: &Path) -> EmbeddedStore {
    let Opened { store, notes } = EmbeddedStore::open(dir, Duration::ZERO).unwrap();
    assert_eq!(notes, Vec::<String>::new());
    store
}

/// Opens a directory with a fault; also returns the notes.
fn open_noted(dir: &Path) -> (EmbeddedStore, String) {
    let Opened { store, notes } = EmbeddedStore::open(dir, Duration::ZERO).unwrap();
    (store, notes.join("\n"))
}

/// Copies the files as they are now, which is what a killed process leaves behind.
fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

fn db(dir: &Path) -> PathBuf {
    dir.join("innkeeper.db")
}

fn wal(dir: &Path) -> PathBuf {
    dir.join("innkeeper.db-wal")
}

fn write(store: &mut EmbeddedStore, group: &[Batch]) {
    assert_eq!(store.append(group, false).unwrap(), Vec::<usize>::new());
}

fn read(store: &mut EmbeddedStore, game: &str) -> Option<Log> {
    store.read(&id(game), 0).unwrap()
}

/// Returns true if the log is intact and has this many records.
fn has(store: &mut EmbeddedStore, game: &str, count: u64) -> bool {
    read(store, game).is_some_and(|log| log.is_intact && log.records.len() == count && log.first == 0)
}

/// Settles everything: moves all groups into heads and parts.
fn settle_all(store: &mut EmbeddedStore) {
    let (home, _) = store.open.as_mut().unwrap();
    while home.settle_some(true, 1 << 20, 100).unwrap() {}
    assert_eq!((home.tails.len(), home.tails.weight()), (0, 0));
}

/// Moves all of the WAL into the database.
fn checkpoint(store: &EmbeddedStore) {
    let (home, _) = store.open.as_ref().unwrap();
    home.db.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    home.db.header.refresh();
}

/// Twenty games with ten records each, most of them settled and in the database file.
fn inhabited(dir: &Path) -> EmbeddedStore {
    let mut store = open(dir);
    for game in 0..20 {
        write(&mut store, &[begin(&format!("g{game}"), "state", &[])]);
        write_records(&mut store, &format!("g{game}"), 0, 8);
    }
    settle_all(&mut store);
    checkpoint(&store);
    (0..20).for_each(|game| write_records(&mut store, &format!("g{game}"), 8, 2));
    store
}

fn write_records(store: &mut EmbeddedStore, game: &str, position: u64, count: u64) {
    for position in position..position + count {
        write(store, &[append(game, position, &[&format!("{game}, record {position}, {}", "x".repeat(100))])]);
    }
}

thread_local! {
    static NOW_MS: Cell<u64> = const { Cell::new(0) };
}

fn set_clock(now_ms: u64) {
    NOW_MS.set(now_ms);
}

/// Opens a directory with this test's clock.
fn open_by_clock(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open_at(dir, Duration::ZERO, || NOW_MS.get()).unwrap().store
}
