//! Owns settling: moving what a tail holds into the head and the parts of its log.

use rusqlite::Connection;

use super::{
    db::Result,
    head::{Head, Part, Row, Segment},
    tail::Tail,
};
use crate::protocol::GameId;

/// With more segments than this, [`MERGED`] neighbours become one: a room that writes little for long has few rows.
const MAX_SEGMENTS: usize = 24;
const MERGED: usize = 12;
/// Neighbours with more than this together are left apart.
const MAX_MERGED_BYTES: u64 = 1 << 20;

/// Writes what one tail holds, with `newest` the newest group; logs last written up to the run `suspect_through` are suspect.
pub(super) fn settle(conn: &Connection, game: &GameId, tail: &Tail, newest: u64, suspect_through: u64) -> Result<()> {
    let row = Row::load(conn, game)?;
    if tail.is_removed {
        return row.map_or(Ok(()), |row| row.delete(conn));
    }
    let place = row.as_ref().map(|row| (row.id, row.head.as_ref().map(|head| head.run)));
    let mut head = base(conn, tail, row, suspect_through)?;
    (head.run, head.group) = (tail.run, newest);
    if let Some((position, body)) = &tail.snapshot {
        if let Some(old) = head.snapshot.replace(Part::store(conn, body)?) {
            old.delete(conn)?;
        }
        head.snapshot_position = *position;
    }
    head.first = head.first.max(tail.keep_from).max(if head.segments.is_empty() { tail.first } else { 0 });
    trim(conn, &mut head)?;
    if !tail.records.is_empty() {
        let part = Part::store(conn, tail.records.as_bytes())?;
        head.segments.push(Segment { position: tail.first, count: tail.records.len(), part });
    }
    head.end = tail.end();
    if head.segments.len() > MAX_SEGMENTS {
        merge(conn, &mut head)?;
    }
    head.store(conn, game, place)
}

/// What the tail builds on: nothing, or the head as far as the tail joins it.
fn base(conn: &Connection, tail: &Tail, row: Option<Row>, suspect_through: u64) -> Result<Head> {
    let is_suspect = tail.is_broken || tail.oldest_run <= suspect_through;
    if tail.replaces {
        row.map_or(Ok(()), |row| row.delete_parts(conn))?;
        return Ok(Head { is_suspect, ..Head::default() });
    }
    // A log that is not there, or damaged, is missing what came before.
    let Some(mut head) = row.and_then(|row| row.head) else { return Ok(Head { is_suspect: true, ..Head::default() }) };
    head.is_suspect |= is_suspect || head.run <= suspect_through;
    if tail.is_broken || head.end != tail.begins {
        head.is_suspect = true;
        head.first = tail.first;
        trim(conn, &mut head)?;
        for segment in head.segments.drain(..) {
            segment.part.delete(conn)?;
        }
    }
    Ok(head)
}

/// Deletes segments that are not needed.
fn trim(conn: &Connection, head: &mut Head) -> Result<()> {
    let gone = head.segments.iter().take_while(|segment| segment.end() <= head.first).count();
    head.segments.drain(..gone).try_for_each(|segment| segment.part.delete(conn))
}

/// Makes one segment of those neighbours that are the smallest together.
fn merge(conn: &Connection, head: &mut Head) -> Result<()> {
    let bytes = |window: &[Segment]| window.iter().map(|segment| u64::from(segment.part.bytes)).sum::<u64>();
    let windows = head.segments.windows(MERGED).map(bytes).enumerate();
    let Some((start, size)) = windows.min_by_key(|(_, size)| *size) else { return Ok(()) };
    if size > MAX_MERGED_BYTES {
        return Ok(());
    }
    let merged = start..start + MERGED;
    let mut body = Vec::with_capacity(size as usize);
    for segment in &head.segments[merged.clone()] {
        // A damaged one stays as it is, for the reader to find.
        let Some(part) = segment.part.load(conn)? else { return Ok(()) };
        body.extend_from_slice(&part);
    }
    let part = Part::store(conn, &body)?;
    let (position, end) = (head.segments[start].position, head.segments[merged.end - 1].end());
    let whole = Segment { position, count: end - position, part };
    head.segments.splice(merged, [whole]).try_for_each(|segment| segment.part.delete(conn))
}
