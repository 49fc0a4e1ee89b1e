//! Owns an open store: fencing, writing groups, settling, and the rest of the
//! [`crate::store::Store`] contract, as long as SQLite works.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{
    db::{Db, Result, is_passing},
    group,
    head::Row,
    mark::MarkState,
    meta::{Meta, Run, downtime},
    read::{read, row},
    settle::settle,
    tail::{Tail, Tails},
};
use crate::{
    store::LogName,
    store::{Batch, Change, Log},
};

/// Bound of the weight of the unsettled groups, in bytes; exceeded by up to a group.
const MAX_WEIGHT: usize = 2 << 20;
/// One portion of settling takes this many bytes or tails, and more if the incoming group is large.
const PORTION_BYTES: usize = 128 << 10;
const PORTION_TAILS: usize = 96;
/// Groups deleted in one transaction.
const MAX_DELETED: u64 = 256;
/// How long one housekeeping call may settle.
const TEND_TIME: Duration = Duration::from_millis(4);
/// Logs whose end is cached.
const MAX_ENDS: usize = 16_384;

pub(super) struct StoreHome {
    pub(super) db: Db,
    pub(super) meta: Meta,
    pub(super) runs: Vec<Run>,
    /// Number of the newest group; 0 if there never was one.
    pub(super) newest: u64,
    pub(super) tails: Tails,
    /// A cache of where logs end. It may be cleared at any time.
    pub(super) ends: HashMap<LogName, LogEnd>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogEnd {
    NoLog,
    At(u64),
    /// The log exists, but its head is damaged: only a `Begin` with `replace` fits.
    Unknown,
}

impl StoreHome {
    /// Writes a group; returns the indices of the batches that do not fit.
    pub(super) fn append(&mut self, batches: &[Batch], flush: bool) -> Result<Vec<usize>> {
        if self.ends.len() > MAX_ENDS {
            self.ends.clear();
        }
        let written = self.write(batches, flush);
        if written.is_err() {
            self.forget_ends(batches.iter().map(|batch| &batch.name));
        }
        written
    }

    fn write(&mut self, batches: &[Batch], flush: bool) -> Result<Vec<usize>> {
        let (mut rejected, mut body) = (Vec::new(), Vec::new());
        for (index, batch) in batches.iter().enumerate() {
            if self.admit(batch)? {
                body = group::encode(body, batch)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
            } else {
                rejected.push(index);
            }
        }
        if rejected.len() == batches.len() {
            return Ok(rejected);
        }
        self.settle_portion(body.len(), batches.len())?;
        let (number, run) = (self.newest + 1, self.meta.run);
        let crc = group::sum(number, run, &body);
        self.db.transaction(flush, |conn| {
            let row = (number as i64, run as i64, crc, &body[..]);
            conn.prepare_cached("INSERT INTO groups(n, run, crc, body) VALUES (?, ?, ?, ?)")?.execute(row)
        })?;
        self.newest = number;
        let mut left_out = rejected.iter().copied().peekable();
        let stored = batches.iter().enumerate().filter(|(index, _)| left_out.next_if_eq(index).is_none());
        self.tails.apply(number, run, body.len(), stored.map(|(_, batch)| batch));
        self.db.check_wal();
        Ok(rejected)
    }

    /// Returns true if a batch fits its log, and then notes the log's new end.
    fn admit(&mut self, Batch { name, change }: &Batch) -> Result<bool> {
        let end = match self.ends.get(name) {
            Some(end) => *end,
            None => self.end(name)?,
        };
        let (fits, after) = match change {
            Change::Begin { records, replace, .. } => (*replace || end == LogEnd::NoLog, LogEnd::At(records.len())),
            Change::Append { position, records, .. } => {
                (end == LogEnd::At(*position), LogEnd::At(position + records.len()))
            }
            Change::Remove { position } => (end == LogEnd::At(*position), LogEnd::NoLog),
        };
        self.ends.insert(name.clone(), if fits { after } else { end });
        Ok(fits)
    }

    fn forget_ends<'a>(&mut self, names: impl Iterator<Item = &'a LogName>) {
        for name in names {
            self.ends.remove(name);
        }
    }

    fn end(&self, name: &LogName) -> Result<LogEnd> {
        if let Some(tail) = self.tails.get(name) {
            return Ok(if tail.is_removed { LogEnd::NoLog } else { LogEnd::At(tail.end()) });
        }
        Ok(match row(&self.db.conn, name)? {
            None => LogEnd::NoLog,
            Some(Row { head: Some(head), .. }) => LogEnd::At(head.end),
            Some(_) => LogEnd::Unknown,
        })
    }

    /// Settles a portion if one is due. It is larger than the incoming group of `bytes` and
    /// `batches`, so that settling keeps pace.
    fn settle_portion(&mut self, bytes: usize, batches: usize) -> Result<()> {
        let is_over = self.tails.weight() > MAX_WEIGHT;
        let (bytes, tails) = (PORTION_BYTES.max(2 * bytes), PORTION_TAILS.max(batches + batches / 4));
        match self.settle_some(is_over, bytes, tails) {
            // A disk that is too full for settling may still take groups for a while.
            Err(error) if is_passing(&error) && self.tails.weight() < 2 * MAX_WEIGHT => Ok(()),
            settled => settled.map(drop),
        }
    }

    /// Settles up to `bytes` and `limit` tails. Returns `false` if there was nothing to do.
    pub(super) fn settle_some(&mut self, is_over: bool, bytes: usize, limit: usize) -> Result<bool> {
        let due = self.tails.take_due(is_over, bytes, limit);
        let through = self.tails.settled_through(self.newest);
        if due.is_empty() && (!is_over || through <= self.meta.settled_through) {
            return Ok(false);
        }
        let (mut meta, newest) = (self.meta, self.newest);
        let settled = self.db.transaction(false, |conn| {
            due.iter().try_for_each(|(name, tail)| settle(conn, name, tail, newest, meta.suspect_through))?;
            delete_groups(conn, &mut meta, through)
        });
        match settled {
            Ok(()) => {
                self.meta = meta;
                self.tails.drop_groups(meta.settled_through);
                Ok(true)
            }
            Err(error) => {
                self.tails.put_back(due);
                Err(error)
            }
        }
    }

    pub(super) fn read(&self, name: &LogName, from: u64) -> Result<Option<Log>> {
        let found = read(&self.db.conn, name, self.tails.get(name), from, self.meta.suspect_through)?;
        Ok(found.map(|found| Log {
            snapshot: found.snapshot,
            snapshot_position: found.snapshot_position,
            first: found.first,
            records: found.records,
            is_intact: found.is_intact,
            downtime: downtime(&self.runs, found.run),
        }))
    }

    pub(super) fn logs(&self, after: Option<&LogName>, limit: usize) -> Result<Vec<LogName>> {
        let is_wanted = |name: &LogName| after.is_none_or(|after| name > after);
        let is_there = |(name, tail): (&LogName, &Tail)| (!tail.is_removed && is_wanted(name)).then(|| name.clone());
        let mut names: BTreeSet<LogName> = self.tails.iter().filter_map(is_there).collect();
        let mut query = self.db.conn.prepare_cached("SELECT game FROM logs WHERE game > ? ORDER BY game")?;
        let mut rows = query.query([after.map(LogName::text).unwrap_or_default()])?;
        let mut known = 0;
        while known < limit
            && let Some(row) = rows.next()?
        {
            let Ok(name) = LogName::parse(row.get_ref(0)?.as_str()?) else { continue };
            if self.tails.get(&name).is_none_or(|tail| !tail.is_removed) {
                known += 1;
                names.insert(name);
            }
        }
        Ok(names.into_iter().take(limit).collect())
    }

    /// Removes logs last written before the run `since`. The removals are written as a group,
    /// because older groups on the disk, settled or not, would otherwise bring the log back.
    pub(super) fn sweep(&mut self, since: u64, limit: usize) -> Result<usize> {
        let in_tails = self.tails.iter().filter(|(_, tail)| tail.run < since && !tail.is_removed);
        let mut names: Vec<LogName> = in_tails.take(limit).map(|(name, _)| name.clone()).collect();
        names.extend(self.settled_before(since, limit - names.len())?);
        self.forget_ends(names.iter());
        let (mut removals, mut damaged) = (Vec::new(), Vec::new());
        for name in &names {
            match self.end(name)? {
                LogEnd::At(position) => {
                    removals.push(Batch { name: name.clone(), change: Change::Remove { position } });
                }
                LogEnd::Unknown => damaged.push(name),
                LogEnd::NoLog => {}
            }
        }
        if !removals.is_empty() {
            self.append(&removals, false)?;
        }
        if !damaged.is_empty() {
            self.db.transaction(false, |conn| {
                damaged.iter().try_for_each(|name| Row::load(conn, name)?.map_or(Ok(()), |row| row.delete(conn)))
            })?;
        }
        Ok(removals.len() + damaged.len())
    }

    /// Returns logs without a tail that were last written before the run `since`.
    fn settled_before(&self, since: u64, limit: usize) -> Result<Vec<LogName>> {
        let mut query = self.db.conn.prepare_cached("SELECT game FROM logs WHERE run < ? LIMIT ?")?;
        let mut rows = query.query((since as i64, (limit + self.tails.len()) as i64))?;
        let mut names = Vec::new();
        while names.len() < limit
            && let Some(row) = rows.next()?
        {
            let Ok(name) = LogName::parse(row.get_ref(0)?.as_str()?) else { continue };
            if self.tails.get(&name).is_none() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Settles until the unsettled groups weigh half their bound, for at most [`TEND_TIME`].
    pub(super) fn tend(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.tails.weight() > MAX_WEIGHT / 2 && begun.elapsed() < TEND_TIME {
            if !self.settle_some(true, PORTION_BYTES, PORTION_TAILS)? {
                break;
            }
        }
        self.db.check_wal();
        Ok(())
    }

    /// The mark's contents for the present state.
    pub(super) fn seen(&self, alive_ms: u64) -> MarkState {
        MarkState { store_id: self.meta.store_id, group: self.newest, alive_ms, version: self.db.header.version() }
    }
}

/// Deletes settled groups up to `through`, at most [`MAX_DELETED`] at once; later portions delete
/// the rest.
fn delete_groups(conn: &Connection, meta: &mut Meta, through: u64) -> Result<()> {
    let through = through.min(meta.settled_through + MAX_DELETED);
    conn.prepare_cached("DELETE FROM groups WHERE n <= ?")?.execute([through as i64])?;
    meta.settled_through = through;
    meta.store(conn)
}
