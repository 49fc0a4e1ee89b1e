//! Owns heads and parts: a log's rows in the tables, each with a CRC.

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::db::Result;
use crate::store::LogName;

/// Names a row of `parts`, with the CRC and length that its body must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) id: i64,
    crc: u32,
    pub(super) bytes: u32,
}

/// Consecutive records, stored as one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) position: u64,
    pub(super) count: u64,
    pub(super) part: Part,
}

impl Segment {
    pub(super) fn end(&self) -> u64 {
        self.position + self.count
    }
}

/// The settled state of a log. Its segments follow one another without a gap and end at `end`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The run that last wrote it.
    pub(super) run: u64,
    /// The newest group when this was settled: the head contains this log's batches of all groups
    /// up to it, so a replay must skip them if they are still on the disk.
    pub(super) group: u64,
    /// Records before this position are dropped, even if a segment still contains them.
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) snapshot_position: u64,
    pub(super) snapshot: Option<Part>,
    pub(super) segments: Vec<Segment>,
    /// Something was missing or too old. Stays set until the log begins anew.
    pub(super) is_suspect: bool,
}

/// A row of `logs`.
pub(super) struct Row {
    pub(super) id: i64,
    /// `None` if it is damaged.
    pub(super) head: Option<Head>,
}

const SUM_BYTES: usize = 4;

impl Row {
    /// Loads a log's row.
    pub(super) fn load(conn: &Connection, name: &LogName) -> Result<Option<Self>> {
        let mut query = conn.prepare_cached("SELECT id, run, head FROM logs WHERE game = ?")?;
        let row = query.query_row([name.text()], |row| {
            // A value of a wrong type counts as damage.
            let head = row.get_ref(2)?.as_bytes().ok().and_then(|bytes| Head::decode(name, bytes));
            // The column exists for the index; a head that contradicts it is damaged.
            let run = row.get_ref(1)?.as_i64().ok();
            Ok(Self { id: row.get(0)?, head: head.filter(|head| run == Some(head.run as i64)) })
        });
        row.optional()
    }

    /// Deletes the row and its parts.
    pub(super) fn delete(&self, conn: &Connection) -> Result<()> {
        self.delete_parts(conn)?;
        conn.prepare_cached("DELETE FROM logs WHERE id = ?")?.execute([self.id]).map(drop)
    }

    /// Deletes the row's parts. A damaged head does not name them: they stay behind unused.
    pub(super) fn delete_parts(&self, conn: &Connection) -> Result<()> {
        let Some(head) = &self.head else { return Ok(()) };
        let segments = head.segments.iter().map(|segment| segment.part);
        segments.chain(head.snapshot).try_for_each(|part| part.delete(conn))
    }
}

impl Head {
    /// Writes the head: over `row`, its id and the run in its `run` column, or as a new row.
    pub(super) fn store(&self, conn: &Connection, name: &LogName, row: Option<(i64, Option<u64>)>) -> Result<()> {
        let (bytes, run) = (self.encode(name)?, self.run as i64);
        let stored = match row {
            // The run is unchanged: leaving the column alone spares the index.
            Some((id, was)) if was == Some(self.run) => {
                conn.prepare_cached("UPDATE logs SET head = ? WHERE id = ?")?.execute((bytes, id))
            }
            Some((id, _)) => {
                conn.prepare_cached("UPDATE logs SET head = ?, run = ? WHERE id = ?")?.execute((bytes, run, id))
            }
            None => conn.prepare_cached("INSERT INTO logs(game, run, head) VALUES (?, ?, ?)")?.execute((
                name.text(),
                run,
                bytes,
            )),
        };
        stored.map(drop)
    }

    fn encode(&self, name: &LogName) -> Result<Vec<u8>> {
        let mut bytes =
            postcard::to_allocvec(self).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let sum = sum(name, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    fn decode(name: &LogName, bytes: &[u8]) -> Option<Self> {
        let (body, stored) = bytes.split_last_chunk::<SUM_BYTES>()?;
        (sum(name, body) == u32::from_le_bytes(*stored)).then(|| postcard::from_bytes(body).ok())?
    }
}

fn sum(name: &LogName, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(name.text().as_bytes());
    sum.update(body);
    sum.finalize()
}

impl Part {
    pub(super) fn store(conn: &Connection, body: &[u8]) -> Result<Self> {
        conn.prepare_cached("INSERT INTO parts(body) VALUES (?)")?.execute([body])?;
        Ok(Self { id: conn.last_insert_rowid(), crc: crc32fast::hash(body), bytes: body.len() as u32 })
    }

    /// Loads the body; `None` if it is missing or does not match its CRC and length.
    pub(super) fn load(&self, conn: &Connection) -> Result<Option<Vec<u8>>> {
        let mut query = conn.prepare_cached("SELECT body FROM parts WHERE id = ?")?;
        let body = query.query_row([self.id], |row| Ok(row.get_ref(0)?.as_bytes().ok().map(<[u8]>::to_vec)));
        Ok(body
            .optional()?
            .flatten()
            .filter(|body| body.len() == self.bytes as usize && crc32fast::hash(body) == self.crc))
    }

    pub(super) fn delete(&self, conn: &Connection) -> Result<()> {
        conn.prepare_cached("DELETE FROM parts WHERE id = ?")?.execute([self.id]).map(drop)
    }
}
