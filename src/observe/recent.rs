//! Owns the newest security lines, kept in memory for the operators' feed; scrubbed and cut like
//! those on stdout (A12).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use slog::{Drain, Never, OwnedKVList, Record};

use super::line;

/// Lines kept; an older one is forgotten.
pub(super) const MAX_LINES: usize = 200;

/// The tag of records that are kept: `slog::info!(logger, #SECURITY_TAG, …)`.
pub(super) const SECURITY_TAG: &str = "security";

/// A bounded ring. Shared by all threads; its lock is held for a few instructions, never while a
/// line is made.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Ring>);

#[derive(Default)]
struct Ring {
    /// Lines ever noted: the number of the newest, the first being 1.
    count: u64,
    /// Oldest first; each a JSON object without its number.
    lines: VecDeque<Arc<str>>,
}

impl Recent {
    /// The number of the newest line, and those behind line `seen` that are still kept, oldest
    /// first: JSON objects whose first field `n` is their number, so that a gap shows.
    pub(crate) fn after(&self, seen: u64) -> (u64, Vec<String>) {
        let (count, lines): (u64, Vec<_>) = {
            let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = ring.count.saturating_sub(seen).min(ring.lines.len() as u64) as usize;
            (ring.count, ring.lines.iter().skip(ring.lines.len() - new).cloned().collect())
        };
        let first = count + 1 - lines.len() as u64;
        let numbered = (first..).zip(lines);
        (count, numbered.map(|(n, line)| format!("{{\"n\":{n},{}", line.strip_prefix('{').unwrap_or("}"))).collect())
    }

    /// The number of the newest line; 0 before the first.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    fn note(&self, line: Arc<str>) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.lines.len() == MAX_LINES {
            ring.lines.pop_front();
        }
        ring.lines.push_back(line);
        ring.count += 1;
    }
}

/// Notes what is tagged, whatever the log's level, and passes everything on.
pub(super) struct Noting<D> {
    pub(super) recent: Arc<Recent>,
    pub(super) next: D,
}

impl<D: Drain<Ok = (), Err = Never>> Drain for Noting<D> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if record.tag() == SECURITY_TAG {
            self.recent.note(line::brief(SystemTime::now(), record, values).into());
        }
        self.next.log(record, values)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::{Value, json};

    use super::*;
    use crate::observe::log::{Format, Level, SecurityFields, security, start_with};

    fn parsed(lines: &[String]) -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn security_lines_are_kept_whatever_the_level_and_others_are_not() {
        let (logger, guard) = start_with(io::sink(), Format::Json, Level::Error, 16);
        slog::error!(logger, "not a security line"; "event" => "WS_CONNECTION_CLOSED");
        let fields = SecurityFields { game: Some("g"), duration_ms: Some(7), ..SecurityFields::default() };
        security(&logger, "WS_CONNECTION_CLOSED", &fields);
        security(&logger, "WS_CONNECTION_BLOCKED_DRAINING", &SecurityFields::default());
        let (count, lines) = guard.recent().after(0);
        let mut lines = parsed(&lines);
        assert_eq!((count, lines.len()), (2, 2));
        for line in &mut lines {
            assert!(line.as_object_mut().and_then(|line| line.remove("time")).is_some_and(|time| time.is_u64()));
        }
        assert_eq!(lines[0], json!({"n":1,"level":"info","event":"WS_CONNECTION_CLOSED","game":"g","duration_ms":7}));
        assert_eq!(lines[1], json!({"n":2,"level":"warn","event":"WS_CONNECTION_BLOCKED_DRAINING"}));
    }

    #[test]
    fn only_the_newest_are_kept_and_their_numbers_say_what_is_gone() {
        let (logger, guard) = start_with(io::sink(), Format::Json, Level::Error, 16);
        for _ in 0..MAX_LINES + 50 {
            security(&logger, "WS_CONNECTION_CLOSED", &SecurityFields::default());
        }
        let recent = guard.recent();
        let numbers = |seen| parsed(&recent.after(seen).1).iter().map(|line| line["n"].as_u64().unwrap()).collect();
        let all: Vec<u64> = numbers(0);
        assert_eq!(all, (51..=250).collect::<Vec<_>>());
        assert_eq!(numbers(247), [248, 249, 250]);
        assert_eq!(numbers(250), Vec::<u64>::new());
        assert_eq!(numbers(999), Vec::<u64>::new(), "a number from another life of the process");
    }

    #[test]
    fn a12_a_secret_in_a_field_is_scrubbed_and_hostile_text_stays_inside_its_string() {
        let (logger, guard) = start_with(io::sink(), Format::Json, Level::Info, 16);
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
        let reason =
            format!("bad {jwt} and ?token=s3cret&x, \"session\":\"s3cret\" Bearer s3cret\n{{\"n\":9}}\u{202e}");
        let fields = SecurityFields { reason: Some(&reason), address: Some(&jwt), ..SecurityFields::default() };
        security(&logger.new(slog::o!("context" => jwt)), "WS_CONNECTION_CLOSED", &fields);
        let (_, lines) = guard.recent().after(0);
        let text = lines.concat();
        assert!(!text.contains("eyJ") && !text.contains("s3cret") && !text.contains('\u{202e}'), "{text}");
        let line = &parsed(&lines)[0];
        assert_eq!((&line["n"], &line["address"]), (&json!(1), &json!("[scrubbed]")), "{line}");
        assert_eq!(line["context"], "[scrubbed]", "{line}");
    }

    #[test]
    fn threads_that_note_at_once_lose_no_number() {
        let (logger, guard) = start_with(io::sink(), Format::Json, Level::Error, 16);
        let recent = guard.recent();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    (0..500).for_each(|_| security(&logger, "WS_CONNECTION_CLOSED", &SecurityFields::default()));
                });
            }
        });
        assert_eq!(recent.after(0).0, 2000);
    }
}
