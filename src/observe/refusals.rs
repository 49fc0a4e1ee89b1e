//! Owns the sampling of refusals: the first of one kind from one address is logged at once, then
//! one line a second has the count of further ones.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use slog::{BorrowedKV, Drain, KV, Key, Never, OwnedKVList, Record, Serializer};

use super::{line, recent::SECURITY_TAG};
use crate::protocol::address::limit_key;

/// How often one kind of refusal is logged per address.
const PERIOD: Duration = Duration::from_secs(1);
/// The most distinct pairs of kind and address; beyond it, further addresses share a line.
const MAX_SOURCES: usize = 10_000;

/// Event and address (an IPv6 /64 is one).
type RefusalSource = (String, String);

/// The state of one source: its last line, and the refusals held back since.
struct Repeats {
    logged_at: Instant,
    /// Refusals since then.
    count: u64,
    /// The pairs of the newest of them.
    newest: Vec<(Key, Value)>,
}

/// A drain that holds repeated refusals back.
pub(super) struct Sampled<D> {
    next: D,
    sources: Mutex<HashMap<RefusalSource, Repeats>>,
}

/// A drain that holds lines back.
pub(super) trait HeldLines: Send + Sync {
    /// Logs what is due; with `all`, everything that is held.
    fn log_due(&self, now: Instant, all: bool);
}

impl<D> Sampled<D> {
    pub(super) fn before(next: D) -> Self {
        Self { next, sources: Mutex::default() }
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<RefusalSource, Repeats>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if this refusal is logged at once.
    fn note(&self, pairs: Vec<(Key, Value)>, now: Instant) -> bool {
        let text = |name| pairs.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.as_str());
        let event = text("event").unwrap_or_default().to_owned();
        let mut source = (event, text("address").map(address_key).unwrap_or_default());
        let mut sources = self.sources();
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&source) {
            source.1.clear();
        }
        if let Some(repeats) = sources.get_mut(&source) {
            repeats.count += 1;
            repeats.newest = pairs;
            return false;
        }
        sources.insert(source, Repeats { logged_at: now, count: 0, newest: Vec::new() });
        true
    }
}

impl<D: Drain<Ok = (), Err = Never>> Drain for Sampled<D> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let is_refusal = record.tag() == SECURITY_TAG && record.level() == slog::Level::Warning;
        if is_refusal && !self.note(line::pairs(record, values), Instant::now()) {
            return Ok(());
        }
        self.next.log(record, values)
    }
}

impl<D: Drain<Ok = (), Err = Never> + Send + Sync> HeldLines for Sampled<D> {
    fn log_due(&self, now: Instant, all: bool) {
        let mut due = Vec::new();
        self.sources().retain(|_, repeats| {
            if !all && now.saturating_duration_since(repeats.logged_at) < PERIOD {
                return true;
            }
            if repeats.count > 0 {
                due.push((std::mem::take(&mut repeats.newest), std::mem::take(&mut repeats.count)));
                repeats.logged_at = now;
                return true;
            }
            false
        });
        for (pairs, count) in due {
            let shape = slog::record_static!(slog::Level::Warning, SECURITY_TAG);
            let event = pairs.iter().find(|(key, _)| *key == "event").and_then(|(_, event)| event.as_str());
            let message = event.unwrap_or_default().to_owned();
            let pairs = Counted { pairs: &pairs, count };
            let message = format_args!("{message}");
            let _ = self.next.log(&Record::new(&shape, &message, BorrowedKV(&pairs)), &slog::o!().into());
        }
    }
}

struct Counted<'a> {
    pairs: &'a [(Key, Value)],
    count: u64,
}

impl KV for Counted<'_> {
    // Last field first, as slog has it.
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        serializer.emit_u64("count", self.count)?;
        for (key, value) in self.pairs.iter().rev() {
            match value {
                Value::String(text) => serializer.emit_str(key, text)?,
                Value::Number(number) if let Some(number) = number.as_u64() => serializer.emit_u64(key, number)?,
                other => serializer.emit_arguments(key, &format_args!("{other}"))?,
            }
        }
        Ok(())
    }
}

/// The address that limits count by.
fn address_key(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), |address| limit_key(address).to_string())
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::observe::log::{Format, Level, LogGuard, SecurityFields, security, start_with};

    const EVENT: &str = "WS_CONNECTION_BLOCKED_INVALID_ORIGIN";

    fn refuse(logger: &slog::Logger, event: &'static str, address: &str) {
        security(logger, event, &SecurityFields { address: Some(&address), ..SecurityFields::default() });
    }

    /// Address and count of each line so far, and what became due.
    fn logged(guard: &LogGuard) -> Vec<(String, u64)> {
        let (_, lines) = guard.recent().after(0);
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.map(|line| (line["address"].as_str().unwrap_or("").into(), line["count"].as_u64().unwrap_or(1))).collect()
    }

    #[test]
    fn repeated_refusals_of_an_address_are_one_line_and_a_count_and_none_is_lost() {
        let (logger, guard) = start_with(io::sink(), Format::Json, Level::Warn, 16);
        for _ in 0..1000 {
            refuse(&logger, EVENT, "203.0.113.1");
        }
        refuse(&logger, EVENT, "203.0.113.2");
        refuse(&logger, "WS_CONNECTION_BLOCKED_RATE_LIMIT", "203.0.113.1");
        let first = logged(&guard);
        assert!(first.len() <= 5, "{first:?}");
        let recent = guard.recent();
        drop(guard);
        let (_, lines) = recent.after(0);
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let all: u64 = lines.map(|line| line["count"].as_u64().unwrap_or(1)).sum();
        assert_eq!(all, 1002, "the rest is told at the end");
    }

    #[test]
    fn a_line_with_the_count_comes_when_a_second_is_over_and_silence_forgets_the_source() {
        let sampled = Sampled::before(slog::Discard);
        let pairs = || vec![("event", Value::from(EVENT)), ("address", Value::from("203.0.113.1"))];
        let start = Instant::now();
        assert!(sampled.note(pairs(), start));
        assert!(!sampled.note(pairs(), start) && !sampled.note(pairs(), start));
        sampled.log_due(start + PERIOD / 2, false);
        assert_eq!(sampled.sources().values().next().map(|repeats| repeats.count), Some(2));
        sampled.log_due(start + PERIOD, false);
        assert_eq!(sampled.sources().values().next().map(|repeats| repeats.count), Some(0));
        sampled.log_due(start + 2 * PERIOD, false);
        assert!(sampled.sources().is_empty());
        assert!(sampled.note(pairs(), start + 2 * PERIOD), "told at once again");
    }

    #[test]
    fn an_ipv6_household_is_one_source_and_their_number_is_bounded() {
        let sampled = Sampled::before(slog::Discard);
        let refuse =
            |address: String| sampled.note(vec![("event", EVENT.into()), ("address", address.into())], Instant::now());
        assert!(refuse("2001:db8::1".into()) && !refuse("2001:db8::2".into()));
        assert!(refuse("203.0.113.1".into()) && !refuse("64:ff9b::203.0.113.1".into()), "NAT64");
        assert!(!refuse("::ffff:203.0.113.1".into()) && refuse("64:ff9b::203.0.113.2".into()), "two addresses");
        for address in 0..MAX_SOURCES as u32 + 100 {
            refuse(std::net::Ipv4Addr::from_bits(address).to_string());
        }
        assert!(sampled.sources().len() <= MAX_SOURCES + 1);
    }
}
