//! Owns settling: moves a tail's contents into the head and parts of its log.

use rusqlite::Connection;

use super::{
    db::Result,
    head::{Head, Part, Row, Segment},
    tail::Tail,
};
use crate::store::LogName;

/// Past this many segments, [`MERGED`] neighbours become one, so that a room that writes little for
/// a long time has few rows.
const MAX_SEGMENTS: usize = 24;
const MERGED: usize = 12;
/// Neighbours that are larger than this together are not merged.
const MAX_MERGED_BYTES: u64 = 1 << 20;

/// Settles one tail. `newest` is the newest group. Logs last written by the run `suspect_through`
/// or an earlier one are suspect.
pub(super) fn settle(conn: &Connection, name: &LogName, tail: &Tail, newest: u64, suspect_through: u64) -> Result<()> {
    let row = Row::load(conn, name)?;
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
    head.store(conn, name, place)
}

/// Returns the head that the tail continues. It is empty if the tail replaces the log; if the tail
/// does not join the head's end, the head's segments are deleted and it is suspect.
fn base(conn: &Connection, tail: &Tail, row: Option<Row>, suspect_through: u64) -> Result<Head> {
    let is_suspect = tail.is_broken || tail.oldest_run <= suspect_through;
    if tail.replaces {
        row.map_or(Ok(()), |row| row.delete_parts(conn))?;
        return Ok(Head { is_suspect, ..Head::default() });
    }
    // The head is missing or damaged, and with it the records before the tail.
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

/// Deletes the segments before the head's first position.
fn trim(conn: &Connection, head: &mut Head) -> Result<()> {
    let gone = head.segments.iter().take_while(|segment| segment.end() <= head.first).count();
    head.segments.drain(..gone).try_for_each(|segment| segment.part.delete(conn))
}

/// Merges the [`MERGED`] neighbouring segments that are the smallest together.
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
        // A damaged segment is not merged: reading reports the damage.
        let Some(part) = segment.part.load(conn)? else { return Ok(()) };
        body.extend_from_slice(&part);
    }
    let part = Part::store(conn, &body)?;
    let (position, end) = (head.segments[start].position, head.segments[merged.end - 1].end());
    let whole = Segment { position, count: end - position, part };
    head.segments.splice(merged, [whole]).try_for_each(|segment| segment.part.delete(conn))
}
