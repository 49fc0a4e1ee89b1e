//! Owns the tests of changed files: deleted, replaced, older, not a database, or on a full disk.

use std::{fs, time::Duration};

use super::{
    EmbeddedStore, OpenError, checkpoint, db, dir, has, inhabited, killed, open, open_noted, read, settle_all, wal,
    write, write_records,
};
use crate::store::{
    Store,
    contract_tests::{append, begin, replace},
};

#[test]
fn r3_an_older_file_that_is_put_back_counts_as_incomplete() {
    // Closed or killed, settled or not; the older file alone, with its own WAL, or with the newer
    // WAL.
    for case in 0..12 {
        let (is_killed, is_settled, with_wal) = (case % 2 == 0, case / 2 % 2 == 0, case / 4);
        let dir = dir();
        let mut store = inhabited(dir.path());
        let older = killed(dir.path());
        write_records(&mut store, "g1", 10, 1);
        if is_settled {
            settle_all(&mut store);
            checkpoint(&store);
            store.tend().unwrap();
        }
        write_records(&mut store, "g2", 10, 1);
        let newer = if is_killed { killed(dir.path()) } else { super::dir() };
        drop(store);
        let put_back = if is_killed { newer } else { killed(dir.path()) };
        fs::copy(db(older.path()), db(put_back.path())).unwrap();
        match with_wal {
            0 => drop(fs::remove_file(wal(put_back.path()))),
            1 => drop(fs::copy(wal(older.path()), wal(put_back.path())).unwrap()),
            _ => {}
        }
        // An older file with its own WAL is up to date if nothing was written since.
        if with_wal == 2 && is_killed && !is_settled {
            assert!(has(&mut open(put_back.path()), "g2", 11));
            continue;
        }
        let (mut store, notes) = open_noted(put_back.path());
        assert!(notes.contains("older than it was"), "case {case}: {notes}");
        let intact = (0..20).filter(|game| read(&mut store, &format!("g{game}")).is_some_and(|log| log.is_intact));
        assert_eq!(intact.count(), 0, "case {case}");
        drop(store);
        let mut store = open(put_back.path());
        assert!(!read(&mut store, "g9").is_some_and(|log| log.is_intact), "case {case}");
    }
}

/// Stores the row of `meta` with another format and more bytes behind it.
fn of_format(dir: &std::path::Path, format: u32) {
    let conn = rusqlite::Connection::open(db(dir)).unwrap();
    let mut meta = crate::store::embedded::meta::Meta::load(&conn).unwrap().unwrap();
    meta.format = format;
    let mut body = postcard::to_allocvec(&meta).unwrap();
    body.extend_from_slice(b"fields of another format");
    let sum = crc32fast::hash(&body);
    body.extend_from_slice(&sum.to_le_bytes());
    conn.execute("UPDATE meta SET body = ?", [body]).unwrap();
}

#[test]
fn d2b_a_directory_that_a_newer_version_wrote_is_refused_and_left_as_it_is() {
    let dir = dir();
    drop(inhabited(dir.path()));
    of_format(dir.path(), u32::MAX);
    let before = fs::read(db(dir.path())).unwrap();
    let error = EmbeddedStore::open(dir.path(), Duration::ZERO).err().expect("refused");
    assert!(matches!(error, OpenError::Newer { format: u32::MAX, .. }), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
    assert_eq!(fs::read(db(dir.path())).unwrap(), before);
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!names.into_iter().any(|name| name.contains("damaged")), "nothing is put aside");
}

#[test]
fn d2b_a_directory_of_an_older_format_is_read_and_gets_the_present_one() {
    let dir = dir();
    drop(inhabited(dir.path()));
    of_format(dir.path(), 1);
    assert!(has(&mut open(dir.path()), "g1", 10));
    let conn = rusqlite::Connection::open(db(dir.path())).unwrap();
    let meta = crate::store::embedded::meta::Meta::load(&conn).unwrap().unwrap();
    assert_eq!(meta.format, crate::store::embedded::meta::FORMAT, "an older version refuses it from now on");
}

#[test]
fn a_whole_directory_that_is_put_back_cannot_be_told_from_the_newest() {
    let dir = dir();
    let mut store = inhabited(dir.path());
    let older = killed(dir.path());
    write_records(&mut store, "g1", 10, 1);
    drop(store);
    assert!(has(&mut open(older.path()), "g1", 10));
}

#[test]
fn a_mark_that_is_missing_or_damaged_or_of_another_store_is_no_damage() {
    let dir = dir();
    drop(inhabited(dir.path()));
    let mark = dir.path().join("innkeeper.mark");
    let foreign = super::dir();
    let mut store = open(foreign.path());
    (0..300).for_each(|_| write(&mut store, &[replace("g", "s")]));
    drop(store);
    let foreign = fs::read(foreign.path().join("innkeeper.mark")).unwrap();
    for contents in [None, Some(vec![]), Some(vec![7; 32]), Some(vec![0; 100]), Some(foreign)] {
        match contents {
            None => fs::remove_file(&mark).unwrap(),
            Some(contents) => fs::write(&mark, contents).unwrap(),
        }
        assert!(has(&mut open(dir.path()), "g3", 10));
    }
}

#[test]
fn a_file_that_is_no_database_is_put_aside() {
    let dir = dir();
    drop(inhabited(dir.path()));
    let whole = fs::read(db(dir.path())).unwrap();
    let foreign = super::dir();
    rusqlite::Connection::open(db(foreign.path())).unwrap().execute_batch("CREATE TABLE other(x)").unwrap();
    let foreign = fs::read(db(foreign.path())).unwrap();
    for contents in [vec![b'x'; 9000], whole[..whole.len() / 2].to_vec(), whole[..50].to_vec(), foreign] {
        fs::write(db(dir.path()), &contents).unwrap();
        let (mut store, notes) = open_noted(dir.path());
        assert!(notes.contains("innkeeper.db is damaged and was put aside as "), "{notes}");
        let aside = notes.split("put aside as ").nth(1).unwrap().lines().next().unwrap();
        // SQLite may have noted its journal mode in the first hundred bytes.
        assert!(fs::read(aside).unwrap().get(100..) == contents.get(100..));
        assert_eq!(read(&mut store, "g3"), None);
        write(&mut store, &[begin("g3", "s", &[])]);
        drop(store);
        assert!(has(&mut open(dir.path()), "g3", 0));
    }
}

#[test]
fn files_that_are_deleted_while_nobody_runs_leave_an_empty_store() {
    let dir = dir();
    let store = inhabited(dir.path());
    let copy = killed(dir.path());
    drop(store);
    fs::remove_file(db(copy.path())).unwrap();
    let (mut store, notes) = open_noted(copy.path());
    assert!(notes.contains("a WAL that belongs to another database was put aside"), "{notes}");
    assert_eq!(read(&mut store, "g1"), None);
    fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(read(&mut open(dir.path()), "g1"), None);
}

#[test]
fn d5_files_that_are_deleted_or_replaced_while_the_store_runs_are_noticed() {
    let (other, moved) = (dir(), dir());
    drop(inhabited(other.path()));
    for deed in ["file", "directory", "replaced", "renamed"] {
        let dir = dir();
        let mut store = inhabited(dir.path());
        match deed {
            "file" => fs::remove_file(db(dir.path())).unwrap(),
            "directory" => fs::remove_dir_all(dir.path()).unwrap(),
            "replaced" => {
                fs::copy(db(other.path()), dir.path().join("new")).unwrap();
                fs::rename(dir.path().join("new"), db(dir.path())).unwrap();
            }
            _ => fs::rename(db(dir.path()), moved.path().join("moved")).unwrap(),
        }
        store.tend().unwrap();
        let notes = store.take_notes().join("\n");
        assert!(notes.contains("was deleted or replaced"), "{deed}: {notes}");
        assert!(!has(&mut store, "g1", 10), "{deed}");
        if deed != "replaced" {
            assert_eq!(store.append(&[append("g1", 10, &["x"])], false).unwrap(), [0], "{deed}");
        }
        write(&mut store, &[replace("g1", "anew"), append("g1", 0, &["0"])]);
        let mut reborn = open(killed(dir.path()).path());
        assert!(has(&mut reborn, "g1", 1), "{deed}");
        // No other process can have locked the directory.
        assert!(matches!(EmbeddedStore::open_existing(dir.path()), Err(OpenError::Locked { .. })), "{deed}");
        store.tend().unwrap();
        assert_eq!(store.take_notes(), Vec::<String>::new(), "{deed}");
    }
}

#[test]
fn d5_a_wal_that_is_deleted_while_the_store_runs_takes_nothing_with_it() {
    let dir = dir();
    let mut store = inhabited(dir.path());
    fs::remove_file(wal(dir.path())).unwrap();
    store.tend().unwrap();
    let notes = store.take_notes().join("\n");
    assert!(notes.ends_with("innkeeper.db-wal was deleted; what was in it is kept"), "{notes}");
    write_records(&mut store, "g1", 10, 1);
    let mut reborn = open(killed(dir.path()).path());
    assert!(has(&mut store, "g1", 11) && has(&mut reborn, "g1", 11) && has(&mut reborn, "g2", 10));
    // Logs in use are not swept, although the file was opened again.
    assert_eq!(store.sweep(100).unwrap(), 0);
}

#[test]
fn d5_a_full_disk_fails_the_group_and_nothing_of_it_is_left() {
    let dir = dir();
    let mut store = inhabited(dir.path());
    let limit = |store: &EmbeddedStore, pages: &str| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.open.as_ref().unwrap().0.db.conn.query_row(&sql, [], |_| Ok(())).unwrap();
    };
    limit(&store, "1");
    let large = "x".repeat(3 << 20);
    let group = [append("g1", 10, &[&large]), begin("new", "s", &[])];
    for _ in 0..10 {
        assert_eq!(store.append(&group, false).unwrap_err().0, "database or disk is full");
        assert!(has(&mut store, "g1", 10));
        assert_eq!(read(&mut store, "new"), None);
    }
    limit(&store, "1000000");
    write(&mut store, &group);
    assert!(has(&mut store, "g1", 11) && has(&mut open(killed(dir.path()).path()), "g1", 11));
}

#[test]
fn a_panic_in_the_middle_of_a_call_leaves_what_is_on_the_disk() {
    let dir = dir();
    let mut store = inhabited(dir.path());
    store.open.as_mut().unwrap().0.db.conn.execute_batch("BEGIN IMMEDIATE; DELETE FROM logs").unwrap();
    store.is_calling = true;
    assert!(has(&mut store, "g1", 10));
    write_records(&mut store, "g1", 10, 1);
    assert!(has(&mut store, "g1", 11));
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    // File permissions do not bind root, who may run the tests; a file in the directory's place
    // does.
    let dir = dir();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = EmbeddedStore::open(&path, Duration::ZERO).err().unwrap();
        assert!(matches!(error, OpenError::Io { .. }));
        assert!(error.to_string().starts_with(&format!("the data directory {} cannot be used: ", path.display())));
    }
    let taken = dir.path().join("taken");
    fs::create_dir_all(db(&taken)).unwrap();
    let error = EmbeddedStore::open(&taken, Duration::ZERO).err().unwrap().to_string();
    assert!(error.contains("unable to open database file"), "{error}");
    assert!(db(&taken).is_dir(), "what cannot be opened is not put aside");
}

#[test]
fn a_directory_without_a_store_is_not_made_one_by_looking() {
    let dir = dir();
    let error = EmbeddedStore::open_existing(dir.path()).err().unwrap();
    assert!(matches!(error, OpenError::Missing { .. }));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    drop(inhabited(dir.path()));
    assert!(has(&mut EmbeddedStore::open_existing(dir.path()).unwrap().store, "g1", 10));
}
