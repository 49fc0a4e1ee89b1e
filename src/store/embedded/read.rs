//! Owns reading: assembles a log from its head, parts and tail, and determines whether it is
//! complete.

use rusqlite::Connection;

use super::{
    db::{Result, is_damage},
    head::{Head, Part, Row},
    tail::Tail,
};
use crate::{store::LogName, store::Records};

/// A log, and the run that last wrote it.
pub(super) struct StoredLog {
    pub(super) snapshot: Vec<u8>,
    pub(super) snapshot_position: u64,
    pub(super) first: u64,
    pub(super) records: Records,
    pub(super) is_intact: bool,
    pub(super) run: u64,
}

/// Returns a log's row. A row that damage makes unreadable is returned without a head.
pub(super) fn row(conn: &Connection, name: &LogName) -> Result<Option<Row>> {
    match Row::load(conn, name) {
        Err(error) if is_damage(&error) => Ok(Some(Row { id: 0, head: None })),
        row => row,
    }
}

/// Reads a log from position `from` on. Where something is damaged, the records before it are
/// dropped and those after it are returned.
pub(super) fn read(
    conn: &Connection,
    name: &LogName,
    tail: Option<&Tail>,
    from: u64,
    suspect_through: u64,
) -> Result<Option<StoredLog>> {
    if tail.is_some_and(|tail| tail.is_removed) {
        return Ok(None);
    }
    let mut found = match tail {
        Some(tail) if tail.replaces => StoredLog::nothing(tail.oldest_run > suspect_through),
        _ => match row(conn, name)? {
            Some(Row { head: Some(head), .. }) => settled(conn, &head, from, suspect_through)?,
            Some(_) => StoredLog::nothing(false),
            None if tail.is_none() => return Ok(None),
            // The head that this tail continues is missing.
            None => StoredLog::nothing(false),
        },
    };
    if let Some(tail) = tail {
        found.join(tail, suspect_through);
    }
    found.skip(from);
    Ok(Some(found))
}

/// Reads the settled records, from the head and parts.
fn settled(conn: &Connection, head: &Head, from: u64, suspect_through: u64) -> Result<StoredLog> {
    let mut found = StoredLog::nothing(!head.is_suspect && head.run > suspect_through);
    found.run = head.run;
    match head.snapshot {
        Some(part) => match load(conn, &part)? {
            Some(body) => (found.snapshot, found.snapshot_position) = (body, head.snapshot_position),
            None => found.is_intact = false,
        },
        None => found.is_intact = false,
    }
    found.first = head.first.max(from.min(head.end));
    let mut next = head.segments.first().map_or(head.end, |segment| segment.position);
    found.is_intact &= next <= head.first;
    let wanted = found.first;
    for segment in head.segments.iter().filter(|segment| segment.end() > wanted) {
        let records = load(conn, &segment.part)?.and_then(Records::from_bytes);
        match records.filter(|records| records.len() == segment.count) {
            Some(records) if found.records.is_empty() || next == segment.position => {
                found.append(segment.position, &records);
            }
            _ => {
                found.is_intact = false;
                (found.first, found.records) = (segment.end(), Records::default());
            }
        }
        next = segment.end();
    }
    if found.end() != head.end {
        found.is_intact = false;
        (found.first, found.records) = (head.end, Records::default());
    }
    Ok(found)
}

/// Loads a part; `None` if damage makes it unreadable.
fn load(conn: &Connection, part: &Part) -> Result<Option<Vec<u8>>> {
    match part.load(conn) {
        Err(error) if is_damage(&error) => Ok(None),
        body => body,
    }
}

impl StoredLog {
    fn nothing(is_intact: bool) -> Self {
        Self { snapshot: Vec::new(), snapshot_position: 0, first: 0, records: Records::default(), is_intact, run: 0 }
    }

    fn end(&self) -> u64 {
        self.first + self.records.len()
    }

    /// Appends records that begin at `position`, without those before `first`.
    fn append(&mut self, position: u64, records: &Records) {
        let mut records = records.clone();
        if self.records.is_empty() {
            let unwanted = self.first.saturating_sub(position);
            records.drop_first(unwanted);
            self.first = position + unwanted;
        }
        self.records.extend(&records);
    }

    fn join(&mut self, tail: &Tail, suspect_through: u64) {
        self.is_intact &= !tail.is_broken && tail.oldest_run > suspect_through;
        self.run = tail.run;
        if let Some((position, body)) = &tail.snapshot {
            (self.snapshot_position, self.snapshot) = (*position, body.clone());
        }
        if !tail.replaces && (tail.is_broken || self.end() != tail.begins) {
            self.is_intact = false;
            (self.first, self.records) = (tail.first, Records::default());
        }
        if tail.first > self.end() || self.records.is_empty() {
            (self.first, self.records) = (tail.first, Records::default());
        }
        self.records.extend(&tail.records);
        self.skip(tail.keep_from);
    }

    fn skip(&mut self, to: u64) {
        let skipped = to.clamp(self.first, self.end()) - self.first;
        self.records.drop_first(skipped);
        self.first += skipped;
    }
}
