//! Owns opening a run: reads the file's state into memory and detects an older file.

use std::collections::HashMap;

use rusqlite::{Connection, MAIN_DB, wal::CheckpointMode};

use super::{
    db::{Db, Result, TABLES, is_full},
    group,
    home::StoreHome,
    mark::MarkState,
    meta::{FORMAT, Meta, Run},
    read::row,
    tail::Tails,
};
use crate::store::LogName;

/// Why [`load`] fails.
pub(super) enum LoadError {
    Sqlite(rusqlite::Error),
    /// The file has foreign tables, or its `meta` is damaged.
    Unreadable,
    /// A newer version of the server wrote it; its format.
    Newer(u32),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Opens a run. `seen` is the mark; `is_older` means the header already shows that the file is
/// older.
pub(super) fn load(
    mut db: Db,
    seen: Option<MarkState>,
    is_older: bool,
    now_ms: u64,
    notes: &mut Vec<String>,
) -> std::result::Result<StoreHome, LoadError> {
    let tables = |name| "SELECT count(*) FROM sqlite_schema".to_owned() + name;
    let count = |sql: String| db.conn.query_row(&sql, [], |row| row.get::<_, i64>(0));
    if count(tables(""))? == 0 {
        create(&mut db)?;
    } else if count(tables(" WHERE name = 'meta'"))? == 0 {
        return Err(LoadError::Unreadable);
    }
    let mut meta = Meta::load(&db.conn)?.ok_or(LoadError::Unreadable)?;
    if meta.format > FORMAT {
        return Err(LoadError::Newer(meta.format));
    }
    meta.format = FORMAT;
    let seen = seen.filter(|seen| seen.store_id == meta.store_id);
    let promised = seen.map_or(0, |seen| seen.group);
    let Replay { tails, newest, is_whole } = replay(&db.conn, &meta)?;
    let is_older = is_older || promised > newest;
    if is_older {
        notes.push(format!(
            "the store is older than it was, or lost its end (it ends with group {newest}, and had {promised}); \
             nothing written before now counts as complete"
        ));
    }
    if !is_whole {
        notes.push(
            "the store is damaged: recent groups are missing; nothing written before now counts as complete".into(),
        );
    }
    let newest = newest.max(promised);
    if is_older || !is_whole {
        (meta.suspect_through, meta.accounted_through) = (meta.run, newest);
    }
    let alive_ms = seen.map(|seen| seen.alive_ms);
    let runs = match open_run(&mut db, &mut meta, alive_ms, now_ms) {
        Err(error) if is_full(&error) => {
            db.empty_wal();
            open_run(&mut db, &mut meta, alive_ms, now_ms)?
        }
        runs => runs?,
    };
    Ok(StoreHome { db, meta, runs, newest, tails, ends: HashMap::new() })
}

fn create(db: &mut Db) -> Result<()> {
    let store_id = uuid::Uuid::new_v4().as_u64_pair().0;
    let mut meta = Meta { format: FORMAT, store_id, ..Meta::default() };
    db.transaction(true, |conn| {
        conn.execute_batch(TABLES)?;
        conn.execute_batch(&format!("PRAGMA application_id = {}", Meta::tag(store_id)))?;
        meta.store(conn)
    })?;
    // The tag has to be in the file itself, not only in the WAL: `FileHeader` reads it there.
    db.conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE).map(drop)
}

struct Replay {
    tails: Tails,
    /// The newest group that was ever written, as far as the file shows.
    newest: u64,
    /// `false`: groups are missing or damaged that `suspect_through` does not cover yet.
    is_whole: bool,
}

/// Rebuilds the tails from the unsettled groups.
fn replay(conn: &Connection, meta: &Meta) -> Result<Replay> {
    let (mut tails, mut newest, mut is_whole) = (Tails::default(), meta.settled_through, true);
    let mut settled = HashMap::new();
    let mut query = conn.prepare("SELECT n, run, crc, body FROM groups WHERE n > ? ORDER BY n")?;
    let mut rows = query.query([meta.settled_through as i64])?;
    while let Some(row) = rows.next()? {
        let (number, run) = (row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64);
        let body = row.get_ref(3)?.as_bytes()?;
        let is_sound = i64::from(group::sum(number, run, body)) == row.get::<_, i64>(2)?;
        let batches = if is_sound { group::decode(body) } else { None };
        is_whole &= number == newest + 1 || number <= meta.accounted_through + 1;
        is_whole &= batches.is_some() || number <= meta.accounted_through;
        newest = number;
        let mut batches = batches.unwrap_or_default();
        for batch in &batches {
            if !settled.contains_key(&batch.name) {
                settled.insert(batch.name.clone(), settled_through(conn, &batch.name)?);
            }
        }
        batches.retain(|batch| settled.get(&batch.name).is_none_or(|through| number > *through));
        tails.apply(number, run, body.len(), batches.iter());
    }
    Ok(Replay { tails, newest: newest.max(meta.accounted_through), is_whole })
}

/// Returns the newest group that a log's head contains, or 0. It may be newer than
/// `meta.settled_through`: large tails are settled before other logs of the same groups.
fn settled_through(conn: &Connection, name: &LogName) -> Result<u64> {
    let head = row(conn, name)?.and_then(|row| row.head);
    Ok(head.map_or(0, |head| head.group))
}

/// Records the beginning of a run, and the end of the one before.
fn open_run(db: &mut Db, stored: &mut Meta, alive_ms: Option<u64>, now_ms: u64) -> Result<Vec<Run>> {
    let (mut meta, mut runs) = (*stored, Run::load(&db.conn)?);
    runs.retain(|run| run.run <= meta.run);
    if let (Some(alive_ms), Some(last)) = (alive_ms, runs.last_mut()) {
        last.alive_ms = last.alive_ms.max(alive_ms);
    }
    meta.run += 1;
    runs.push(Run { run: meta.run, opened_ms: now_ms, alive_ms: now_ms });
    db.transaction(false, |conn| {
        runs.iter().rev().take(2).try_for_each(|run| run.store(conn))?;
        meta.store(conn)
    })?;
    *stored = meta;
    Ok(runs)
}
