//! Owns what the tables record about the store as a whole: its id, its version, what is settled,
//! what is suspect, and its runs.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::db::Result;

/// Version of all that is written: the tables, and the records and images in them. It grows with
/// every release that writes what the one before cannot read, so that an older release refuses the
/// directory and takes nothing in it for damage (D2b). Format 1 knows no bans, display names, ends of
/// crowds or hashes of requests' bodies.
pub(super) const FORMAT: u32 = 2;
/// Runs that are kept. Downtime before them is not counted.
const MAX_RUNS: usize = 1000;
const SUM_BYTES: usize = 4;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Always the first field, also in later formats.
    pub(super) format: u32,
    /// Random; distinguishes this store from every other.
    pub(super) store_id: u64,
    /// Number of the present run: how often the store was opened.
    pub(super) run: u64,
    /// Groups up to this one are in heads and parts.
    pub(super) settled_through: u64,
    /// Logs last written by this run or an earlier one may have lost something.
    pub(super) suspect_through: u64,
    /// `suspect_through` already covers every loss among the groups up to this one.
    pub(super) accounted_through: u64,
    /// Grows each time this is stored; see [`super::file::FileHeader::version`].
    pub(super) version: u32,
}

impl Meta {
    /// Loads it; `None` if it is missing or damaged. Of a newer format only the number is known.
    pub(super) fn load(conn: &Connection) -> Result<Option<Self>> {
        let mut query = conn.prepare("SELECT body FROM meta")?;
        let body = query.query_row([], |row| row.get::<_, Vec<u8>>(0)).optional()?;
        Ok(body.and_then(|body| {
            let (body, stored) = body.split_last_chunk::<SUM_BYTES>()?;
            if crc32fast::hash(body) != u32::from_le_bytes(*stored) {
                return None;
            }
            let (format, _) = postcard::take_from_bytes(body).ok()?;
            if format > FORMAT { Some(Self { format, ..Self::default() }) } else { postcard::from_bytes(body).ok() }
        }))
    }

    /// Stores it under the next version, which the database header repeats as `user_version`.
    pub(super) fn store(&mut self, conn: &Connection) -> Result<()> {
        self.version = self.version.wrapping_add(1);
        let mut body =
            postcard::to_allocvec(self).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let sum = crc32fast::hash(&body);
        body.extend_from_slice(&sum.to_le_bytes());
        conn.prepare_cached("INSERT OR REPLACE INTO meta(id, body) VALUES (1, ?)")?.execute([body])?;
        conn.execute_batch(&format!("PRAGMA user_version = {}", self.version as i32))
    }

    /// The store's id as the database header shows it (`application_id`); never 0.
    pub(super) fn tag(store_id: u64) -> u32 {
        (store_id as u32 >> 1).max(1)
    }
}

/// One run: from an opening to the last sign of life before the next one. Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) run: u64,
    pub(super) opened_ms: u64,
    pub(super) alive_ms: u64,
}

impl Run {
    /// Loads all kept runs, oldest first.
    pub(super) fn load(conn: &Connection) -> Result<Vec<Self>> {
        let mut query = conn.prepare("SELECT run, opened_ms, alive_ms FROM runs ORDER BY run")?;
        let number = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(|number| number as u64);
        let runs = query.query_map([], |row| {
            Ok(Self { run: number(row, 0)?, opened_ms: number(row, 1)?, alive_ms: number(row, 2)? })
        })?;
        runs.collect()
    }

    pub(super) fn store(&self, conn: &Connection) -> Result<()> {
        let oldest = self.run as i64 - MAX_RUNS as i64;
        conn.execute("DELETE FROM runs WHERE run <= ?", [oldest])?;
        let row = (self.run as i64, self.opened_ms as i64, self.alive_ms as i64);
        conn.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", row).map(drop)
    }
}

/// How long no process ran since the run `since`. A clock that steps back counts as no time.
pub(super) fn downtime(runs: &[Run], since: u64) -> Duration {
    let gaps = runs.windows(2).filter(|pair| pair[1].run > since);
    gaps.map(|pair| Duration::from_millis(pair[1].opened_ms.saturating_sub(pair[0].alive_ms))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downtime_is_the_sum_of_the_gaps_behind_a_run_and_never_negative() {
        let run = |run, opened_ms, alive_ms| Run { run, opened_ms, alive_ms };
        let runs = [run(1, 0, 100), run(2, 150, 300), run(3, 250, 400), run(4, 1000, 1000)];
        let millis = |since| downtime(&runs, since).as_millis();
        assert_eq!([millis(0), millis(1), millis(2), millis(3), millis(4)], [650, 650, 600, 600, 0]);
    }
}
