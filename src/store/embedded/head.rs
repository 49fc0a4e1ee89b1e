//! Owns heads and parts: what the tables say of one log, each guarded by a sum.

use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::db::Result;
use crate::protocol::GameId;

/// A row of `parts`: where it is, and what it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) id: i64,
    crc: u32,
    pub(super) bytes: u32,
}

/// Consecutive records in one part.
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

/// What is settled of a log. Its segments follow one another without a gap and reach up to `end`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The run that wrote it last.
    pub(super) run: u64,
    /// The newest group when this was settled: what groups up to it say of this log is in here. They may still be on disk.
    pub(super) group: u64,
    /// Records before this position are not kept, even if a segment still holds them.
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) snapshot_position: u64,
    pub(super) snapshot: Option<Part>,
    pub(super) segments: Vec<Segment>,
    /// Something was found missing or older than it should be; for as long as the log lasts.
    pub(super) is_suspect: bool,
}

/// A row of `logs`.
pub(super) struct Row {
    pub(super) id: i64,
    /// `None`: damaged.
    pub(super) head: Option<Head>,
}

const SUM_BYTES: usize = 4;

impl Row {
    /// The row of a game.
    pub(super) fn load(conn: &Connection, game: &GameId) -> Result<Option<Self>> {
        let mut query = conn.prepare_cached("SELECT id, run, head FROM logs WHERE game = ?")?;
        let row = query.query_row([game.as_str()], |row| {
            // A value of a wrong type is damage like another.
            let head = row.get_ref(2)?.as_bytes().ok().and_then(|bytes| Head::decode(game, bytes));
            // The column is there for the index; the head decides.
            let run = row.get_ref(1)?.as_i64().ok();
            Ok(Self { id: row.get(0)?, head: head.filter(|head| run == Some(head.run as i64)) })
        });
        row.optional()
    }

    /// Deletes the row and everything it names.
    pub(super) fn delete(&self, conn: &Connection) -> Result<()> {
        self.delete_parts(conn)?;
        conn.prepare_cached("DELETE FROM logs WHERE id = ?")?.execute([self.id]).map(drop)
    }

    /// Of a damaged head the parts are not known; they stay as waste.
    pub(super) fn delete_parts(&self, conn: &Connection) -> Result<()> {
        let Some(head) = &self.head else { return Ok(()) };
        let segments = head.segments.iter().map(|segment| segment.part);
        segments.chain(head.snapshot).try_for_each(|part| part.delete(conn))
    }
}

impl Head {
    /// Writes the head, over the row `id` if there is one that was written by the run `was`.
    pub(super) fn store(&self, conn: &Connection, game: &GameId, row: Option<(i64, Option<u64>)>) -> Result<()> {
        let (bytes, run) = (self.encode(game)?, self.run as i64);
        let stored = match row {
            // Left alone where it is the same, for the sake of the index.
            Some((id, was)) if was == Some(self.run) => {
                conn.prepare_cached("UPDATE logs SET head = ? WHERE id = ?")?.execute((bytes, id))
            }
            Some((id, _)) => {
                conn.prepare_cached("UPDATE logs SET head = ?, run = ? WHERE id = ?")?.execute((bytes, run, id))
            }
            None => conn.prepare_cached("INSERT INTO logs(game, run, head) VALUES (?, ?, ?)")?.execute((
                game.as_str(),
                run,
                bytes,
            )),
        };
        stored.map(drop)
    }

    fn encode(&self, game: &GameId) -> Result<Vec<u8>> {
        let mut bytes =
            postcard::to_allocvec(self).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let sum = sum(game, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    fn decode(game: &GameId, bytes: &[u8]) -> Option<Self> {
        let (body, stored) = bytes.split_last_chunk::<SUM_BYTES>()?;
        (sum(game, body) == u32::from_le_bytes(*stored)).then(|| postcard::from_bytes(body).ok())?
    }
}

fn sum(game: &GameId, body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(game.as_str().as_bytes());
    sum.update(body);
    sum.finalize()
}

impl Part {
    pub(super) fn store(conn: &Connection, body: &[u8]) -> Result<Self> {
        conn.prepare_cached("INSERT INTO parts(body) VALUES (?)")?.execute([body])?;
        Ok(Self { id: conn.last_insert_rowid(), crc: crc32fast::hash(body), bytes: body.len() as u32 })
    }

    /// `None` when it is gone, or is not what it was.
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
