//! Owns the shape of one log line, as a pure function; hostile text can neither break a line nor
//! forge one.

use std::{
    borrow::Cow,
    fmt::{self, Write},
    time::{Duration, SystemTime},
};

use serde::ser::{Serialize, SerializeMap};
use serde_json::Value;
use slog::{KV, Key, Level, OwnedKVList, Record};
use time::OffsetDateTime;

use super::{
    log::{Format, STAMP_KEY},
    scrub::scrub,
};

/// A longer message or value is cut, and ends with an ellipsis.
const MAX_TEXT_BYTES: usize = 4096;

/// The line's own fields; a kv by one of these names is left out, so that no key appears twice.
const OWN_FIELDS: [&str; 3] = ["timestamp", "level", "message"];

/// The key whose value stands in brackets before the message.
const CATEGORY: &str = "category";

/// One record as one line, without the newline. Secrets are scrubbed (A12), control characters
/// escaped. Of kvs with the same key the newest wins: the statement's before the logger's, a child
/// logger's before its parent's. `now` counts only for records that carry no moment of their own.
pub(crate) fn render(format: Format, now: SystemTime, record: &Record<'_>, values: &OwnedKVList) -> String {
    let fields = LineFields::of(record, values);
    let at = fields.at_ms.map_or(now, |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
    let line = LogLine {
        timestamp: rfc3339(at),
        level: level_name(record.level()),
        message: message(record, &fields.pairs),
        fields: fields.pairs,
    };
    match format {
        Format::Json => escape(&serde_json::to_string(&line).unwrap_or_default(), is_unsafe).into_owned(),
        Format::Text => line.text(),
    }
}

/// The same record for the operators' feed, as a JSON object: `time` in unix ms, `level`, and the
/// key-value pairs, without message and category. Scrubbed and escaped likewise.
pub(super) fn brief(now: SystemTime, record: &Record<'_>, values: &OwnedKVList) -> String {
    let mut fields = LineFields::of(record, values).pairs;
    fields.retain(|(key, _)| !matches!(*key, CATEGORY | "time" | "n"));
    let time = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let own = [("time", Value::from(time)), ("level", level_name(record.level()).into())];
    let brief = Pairs(own.iter().chain(&fields));
    escape(&serde_json::to_string(&brief).unwrap_or_default(), is_unsafe).into_owned()
}

/// The same record for an error report: the message as the line has it, and the key-value pairs
/// without the category. Scrubbed.
pub(super) fn told(record: &Record<'_>, values: &OwnedKVList) -> (String, Vec<(Key, Value)>) {
    let mut fields = LineFields::of(record, values).pairs;
    let message = message(record, &fields);
    fields.retain(|(key, _)| *key != CATEGORY);
    (message, fields)
}

/// Returns the record's key-value pairs, in the order of the log statement.
pub(super) fn pairs(record: &Record<'_>, values: &OwnedKVList) -> Vec<(Key, Value)> {
    LineFields::of(record, values).pairs
}

/// The message, behind its category in brackets: people search for `[SECURITY]` in both formats.
fn message(record: &Record<'_>, fields: &[(Key, Value)]) -> String {
    let message = clean(&record.msg().to_string());
    match category(fields) {
        Some(category) => format!("[{category}] {message}"),
        None => message,
    }
}

fn category(fields: &[(Key, Value)]) -> Option<&str> {
    fields.iter().find(|(key, _)| *key == CATEGORY).and_then(|(_, category)| category.as_str())
}

/// Pairs as a JSON object, in their order.
struct Pairs<I>(I);

impl<'a, I: Iterator<Item = &'a (Key, Value)> + Clone> Serialize for Pairs<I> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.clone().map(|(key, value)| (key, value)))
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T04:00:00.123Z`.
pub(super) fn rfc3339(at: SystemTime) -> String {
    let at = OffsetDateTime::from(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Critical | Level::Error => "error",
        Level::Warning => "warn",
        Level::Info => "info",
        Level::Debug | Level::Trace => "debug",
    }
}

struct LogLine {
    timestamp: String,
    level: &'static str,
    message: String,
    fields: Vec<(Key, Value)>,
}

impl Serialize for LogLine {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &self.timestamp)?;
        map.serialize_entry("level", self.level)?;
        map.serialize_entry("message", &self.message)?;
        for (key, value) in &self.fields {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl LogLine {
    fn text(&self) -> String {
        let message = escape(&self.message, is_unsafe);
        let mut line = format!("{} {:<5} {message}", self.timestamp, self.level.to_ascii_uppercase());
        let is_message = |event: &str| {
            let behind =
                category(&self.fields).and_then(|category| self.message.strip_prefix(&format!("[{category}] ")));
            behind.unwrap_or(&self.message) == event
        };
        for (key, value) in &self.fields {
            let text = match value {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                other => Cow::Owned(other.to_string()),
            };
            // The category is the prefix, a security line's event is its message, a heartbeat's
            // message lists its kvs.
            let pair = format!("{key}={}", quote(&text));
            let said = *key == CATEGORY || (*key == "event" && is_message(&text));
            if !said && !message.split(' ').any(|word| word == pair) {
                line.push(' ');
                line.push_str(&pair);
            }
        }
        line
    }
}

/// Writes the value without quotes if its end is unambiguous, else in double quotes with JSON's
/// escapes.
fn quote(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=' | '\\') && !is_unsafe(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("\"{}\"", escape(text, |c| is_unsafe(c) || matches!(c, '"' | '\\'))))
}

/// Characters that a terminal or a viewer would act on instead of showing: C0, DEL and C1 controls,
/// line and paragraph separators, and the marks that change the reading direction.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// JSON's escapes; every character that `is_unsafe` accepts is below U+10000, so four digits are
/// enough.
fn escape(text: &str, marked: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&marked) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !marked(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' => out.extend(['\\', c]),
            _ => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    Cow::Owned(out)
}

/// Scrubbed, then bounded.
fn clean(text: &str) -> String {
    let mut text = scrub(text).into_owned();
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[derive(Default)]
struct LineFields {
    /// Newest first, each key once.
    pairs: Vec<(Key, Value)>,
    at_ms: Option<u64>,
}

impl LineFields {
    fn of(record: &Record<'_>, values: &OwnedKVList) -> Self {
        let mut fields = Self::default();
        // Collecting cannot fail, and a record with half its fields is better than none.
        let _ = record.kv().serialize(record, &mut fields);
        let _ = values.serialize(record, &mut fields);
        // slog passes the newest pair first; the log statement has them in the other order.
        fields.pairs.reverse();
        fields
    }

    fn put(&mut self, key: Key, value: Value) -> slog::Result {
        if !OWN_FIELDS.contains(&key) && self.pairs.iter().all(|(seen, _)| *seen != key) {
            self.pairs.push((key, value));
        }
        Ok(())
    }
}

macro_rules! emit {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(&mut self, key: Key, value: $type) -> slog::Result {
            self.put(key, value.into())
        })*
    };
}

impl slog::Serializer for LineFields {
    emit! {
        emit_bool: bool, emit_u8: u8, emit_i8: i8, emit_u16: u16, emit_i16: i16, emit_u32: u32, emit_i32: i32,
        emit_i64: i64, emit_usize: usize, emit_isize: isize, emit_f32: f32, emit_f64: f64
    }

    fn emit_u64(&mut self, key: Key, value: u64) -> slog::Result {
        if key == STAMP_KEY {
            self.at_ms = Some(value);
            return Ok(());
        }
        self.put(key, value.into())
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.put(key, Value::Null)
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.put(key, Value::Null)
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.put(key, clean(value).into())
    }

    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.put(key, clean(&value.to_string()).into())
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
