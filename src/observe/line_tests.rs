//! Owns the tests of `line` and `events`: both formats, hostile values, precedence of kvs.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use slog::{Drain, Logger, Never, info, o, warn};

use super::*;
use crate::{
    observe::log::{SecurityFields, heartbeat, security},
    protocol::Cause,
};

struct Capture(Format, Arc<Mutex<Vec<String>>>);

impl Drain for Capture {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        // 2026-11-21T04:00:00.123Z
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_233_600_123);
        self.1.lock().unwrap().push(render(self.0, now, record, values));
        Ok(())
    }
}

/// The one line that `write` logs.
fn line(format: Format, write: impl FnOnce(&Logger)) -> String {
    let lines = Arc::new(Mutex::new(Vec::new()));
    write(&Logger::root(Capture(format, Arc::clone(&lines)).fuse(), o!()));
    let mut lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1);
    lines.pop().unwrap()
}

fn established(logger: &Logger) {
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));
    let fields =
        SecurityFields { game: Some("x"), player: Some("y"), address: Some(&address), ..SecurityFields::default() };
    security(logger, "WS_CONNECTION_ESTABLISHED", &fields);
}

#[test]
fn a_security_event_in_text_begins_with_its_category() {
    assert_eq!(
        line(Format::Text, established),
        "2026-11-21T04:00:00.123Z INFO  [SECURITY] WS_CONNECTION_ESTABLISHED game=x player=y address=10.0.0.7"
    );
}

#[test]
fn a_security_event_in_json_carries_category_event_and_fields_in_order() {
    assert_eq!(
        line(Format::Json, established),
        "{\"timestamp\":\"2026-11-21T04:00:00.123Z\",\"level\":\"info\",\"message\":\"[SECURITY] WS_CONNECTION_ESTABLISHED\",\
         \"category\":\"SECURITY\",\"event\":\"WS_CONNECTION_ESTABLISHED\",\"game\":\"x\",\"player\":\"y\",\
         \"address\":\"10.0.0.7\"}"
    );
}

#[test]
fn a_closed_connection_is_logged_with_its_one_cause_code_duration_and_bytes() {
    let fields = SecurityFields {
        cause: Some(Cause::TooSlow),
        duration_ms: Some(1500),
        bytes_in: Some(1),
        bytes_out: Some(2),
        ..SecurityFields::default()
    };
    assert_eq!(
        line(Format::Text, |log| security(log, "WS_CONNECTION_CLOSED", &fields)),
        "2026-11-21T04:00:00.123Z INFO  [SECURITY] WS_CONNECTION_CLOSED cause=too_slow code=4008 duration_ms=1500 \
         bytes_in=1 bytes_out=2"
    );
}

#[test]
fn a_refusal_is_a_warning_that_quotes_what_the_client_sent() {
    let fields = SecurityFields { reason: Some("Origin \"x\\y\""), ..SecurityFields::default() };
    assert_eq!(
        line(Format::Text, |log| security(log, "WS_CONNECTION_BLOCKED_INVALID_ORIGIN", &fields)),
        "2026-11-21T04:00:00.123Z WARN  [SECURITY] WS_CONNECTION_BLOCKED_INVALID_ORIGIN \
         reason=\"Origin \\\"x\\\\y\\\"\""
    );
}

#[test]
fn a_heartbeat_reports_each_count_once_in_text_and_as_numbers_in_json() {
    assert_eq!(
        line(Format::Text, |log| heartbeat(log, 4, 3, 2, 1)),
        "2026-11-21T04:00:00.123Z INFO  [HEARTBEAT] connections=4 rooms=3 sessions=2 addresses=1"
    );
    let json: Value = serde_json::from_str(&line(Format::Json, |log| heartbeat(log, 4, 3, 2, 1))).unwrap();
    assert_eq!(json["category"], "HEARTBEAT");
    assert_eq!(json["message"], "[HEARTBEAT] connections=4 rooms=3 sessions=2 addresses=1");
    assert_eq!((&json["connections"], &json["addresses"]), (&4.into(), &1.into()));
}

#[test]
fn the_newest_kv_wins_and_no_key_appears_twice_in_json() {
    let text = line(Format::Json, |log| {
        let child = log.new(o!("room" => "old", "shard" => 1)).new(o!("room" => "newer"));
        warn!(child, "hello"; "room" => "newest", "level" => "forged", "message" => "forged", "nothing" => ());
    });
    assert_eq!(
        text,
        "{\"timestamp\":\"2026-11-21T04:00:00.123Z\",\"level\":\"warn\",\"message\":\"hello\",\"shard\":1,\
         \"room\":\"newest\",\"nothing\":null}"
    );
}

#[test]
fn a_hostile_value_can_neither_break_nor_forge_a_line() {
    let hostile = "x\n2026 ERROR [SECURITY] forged\r\u{1b}[31m\u{9b}2J\u{202e}\u{2028}\" a=b\0\\";
    let text = line(Format::Text, |log| info!(log, "{}", hostile; "origin" => hostile));
    let shown = "x\\n2026 ERROR [SECURITY] forged\\r\\u001b[31m\\u009b2J\\u202e\\u2028";
    assert_eq!(
        text,
        format!("2026-11-21T04:00:00.123Z INFO  {shown}\" a=b\\u0000\\ origin=\"{shown}\\\" a=b\\u0000\\\\\"")
    );
    let json = line(Format::Json, |log| info!(log, "{}", hostile; "origin" => hostile));
    assert!(!json.chars().any(is_unsafe), "{json}");
    let read: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&read["message"], &read["origin"]), (&hostile.into(), &hostile.into()));
}

#[test]
fn a12_tokens_are_scrubbed_from_messages_and_values() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln";
    for format in [Format::Text, Format::Json] {
        let text =
            line(format, |log| info!(log, "GET /ws/a/b?token={}", jwt; "header" => %format_args!("Bearer {jwt}")));
        assert!(!text.contains("eyJ") && text.matches("[scrubbed]").count() == 2, "{text}");
    }
}

#[test]
fn a_huge_value_is_cut_on_a_character_boundary() {
    let text = line(Format::Text, |log| info!(log, "m"; "v" => "é".repeat(1 << 20)));
    assert!(text.len() < MAX_TEXT_BYTES + 100 && text.ends_with("é…"));
}

proptest! {
    #[test]
    fn whatever_is_logged_is_one_line_of_printable_text_and_json_keeps_its_value(text in "(?s).{0,80}") {
        let shown = line(Format::Text, |log| info!(log, "m"; "k" => &text));
        prop_assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        let json = line(Format::Json, |log| info!(log, "m"; "k" => &text));
        prop_assert!(!json.chars().any(is_unsafe), "{json:?}");
        let read: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read["k"].as_str().unwrap(), &*scrub(&text));
    }
}
