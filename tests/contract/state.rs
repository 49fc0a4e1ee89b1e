//! Owns the tests of a room's shared state: patch, if_seq, the bound, and what a newcomer gets
//! (3.1, R2).

use std::time::{Duration, Instant};

use crate::support::Server;
use serde_json::json;

const OPERATOR: (&str, &str) = ("HTTP_API_SECRET", "0123456789abcdef0123456789abcdef");
const KEY: [(&str, &str); 1] = [("Authorization", "Bearer 0123456789abcdef0123456789abcdef")];

#[test]
fn a_patch_is_merged_into_the_state_by_rfc_7396_and_everybody_sees_the_patch() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    assert_eq!(alice.welcome["state"], json!({}));
    let mut bob = server.connect("/ws/g/bob").welcomed();
    alice.send(&json!({"type": "patch", "id": 1, "patch": {"a": {"b": 1, "c": [1, 2]}, "d": "x"}}));
    let patch =
        json!({"type": "patch", "seq": 3, "from": "alice", "id": 1, "patch": {"a": {"b": 1, "c": [1, 2]}, "d": "x"}});
    assert_eq!(bob.next(), patch);
    assert_eq!(alice.until_type("patch"), patch);
    bob.send(&json!({"type": "patch", "patch": {"a": {"b": null, "c": {"e": 2}}}}));
    assert_eq!(
        alice.next(),
        json!({"type": "patch", "seq": 4, "from": "bob", "patch": {"a": {"b": null, "c": {"e": 2}}}})
    );
    let carol = server.connect("/ws/g/carol").welcomed();
    assert_eq!(carol.welcome["state"], json!({"a": {"c": {"e": 2}}, "d": "x"}));
}

#[test]
fn if_seq_lets_a_patch_through_only_if_the_state_was_last_changed_by_then() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "patch", "id": 1, "patch": {"a": 1}, "if_seq": 0}));
    assert_eq!(alice.next()["seq"], 2, "never changed is changed at 0");
    alice.send(&json!({"type": "send", "id": 2, "data": "messages are no changes of the state"}));
    assert_eq!(alice.next()["seq"], 3);
    alice.send(&json!({"type": "patch", "id": 3, "patch": {"a": 2}, "if_seq": 1}));
    let conflict = alice.next();
    assert_eq!((&conflict["type"], &conflict["code"]), (&json!("error"), &json!("conflict")));
    assert_eq!(conflict["id"], 3);
    alice.send(&json!({"type": "patch", "id": 3, "patch": {"a": 3}, "if_seq": 2}));
    assert_eq!(alice.next()["seq"], 4, "a refused id was not applied, so it can be used again");
    alice.send(&json!({"type": "patch", "id": 4, "patch": {"a": 4}, "if_seq": 1000}));
    assert_eq!(alice.next()["seq"], 5, "changed at that seq or earlier");
    let bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!(bob.welcome["state"], json!({"a": 4}));
}

#[test]
fn a_patch_that_would_grow_the_state_past_its_bound_is_refused_and_changes_nothing() {
    let server = Server::start(&[("MAX_STATE_BYTES", "100")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "patch", "id": 1, "patch": {"a": "x".repeat(80)}}));
    assert_eq!(alice.next()["seq"], 2);
    alice.send(&json!({"type": "patch", "id": 2, "patch": {"b": "x".repeat(80)}}));
    let error = alice.next();
    assert_eq!((&error["type"], &error["code"], &error["id"]), (&json!("error"), &json!("state_too_large"), &json!(2)));
    alice.send(&json!({"type": "patch", "id": 2, "patch": {"a": null, "b": "x".repeat(80)}}));
    assert_eq!(alice.next()["seq"], 3, "what makes room is let through");
    let bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!(bob.welcome["state"], json!({"b": "x".repeat(80)}));
}

#[test]
fn a_number_takes_of_the_bound_what_the_patch_wrote() {
    let server = Server::start(&[("MAX_STATE_BYTES", "307")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let numbers = vec!["1e15"; 60].join(",");
    alice.send_text(&format!(r#"{{"type":"patch","id":1,"patch":{{"a":[{numbers}]}}}}"#));
    // `{"a":[…]}` around 60 numbers of 4 bytes with 59 commas.
    assert_eq!(alice.next()["type"], "patch");
    alice.send_text(&format!(r#"{{"type":"patch","id":2,"patch":{{"a":[1.0,{numbers}]}}}}"#));
    assert_eq!(alice.next()["code"], "state_too_large");
}

#[test]
fn r2_the_state_a_newcomer_gets_is_that_of_its_seq_and_patches_follow_from_there() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    for id in 1..=10 {
        alice.send(&json!({"type": "patch", "id": id, "patch": {"n": id}}));
    }
    alice.drain();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    assert_eq!((&bob.welcome["seq"], &bob.welcome["state"]), (&json!(12), &json!({"n": 10})));
    alice.send(&json!({"type": "patch", "id": 11, "patch": {"n": 11}}));
    assert_eq!(bob.next(), json!({"type": "patch", "seq": 13, "from": "alice", "id": 11, "patch": {"n": 11}}));
}

#[test]
fn numbers_of_the_state_keep_the_digits_that_a_patch_wrote() {
    let server = Server::start(&[OPERATOR]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let patch = r#"{"a":1.0,"b":12345678901234567890123,"c":[1.50,-0.0],"d":1E2}"#;
    alice.send_text(&format!(r#"{{"type":"patch","id":1,"patch":{patch}}}"#));
    alice.until_type("patch");
    let room = server.get_with("/api/games/g", &KEY).body;
    assert!(room.contains(&format!(r#""state":{patch}"#)), "{room}");
}

/// 250 KiB of small objects in each of eight rooms. As a map for each object, a room would take 10
/// MiB or more.
#[test]
fn a_state_of_many_small_objects_takes_a_small_multiple_of_its_text() {
    let server = Server::start(&[OPERATOR]);
    let fields: Vec<String> = (0..15_000).map(|n| format!(r#""{n:05}":{{"a":0}}"#)).collect();
    let body = format!(r#"{{"patch":{{{}}}}}"#, fields.join(","));
    let post = |game: usize| server.request("POST", &format!("/api/games/g{game}/events"), &KEY, Some(&body)).status;
    assert_eq!(post(0), 200, "what the first one costs is not the state's");
    let before = server.resident_bytes();
    (1..=8).for_each(|game| assert_eq!(post(game), 200));
    let per_room = (server.resident_bytes() - before) / 8;
    assert!(per_room < 5 << 20, "{per_room} bytes for a state of {}", body.len());
}

/// A state of 2 MiB: to copy or to write it 400 times takes longer than all these patches may.
#[test]
fn a_patch_costs_what_it_changes_whether_it_is_accepted_or_refused() {
    let server = Server::start(&[
        OPERATOR,
        ("MAX_STATE_BYTES", "2m"),
        ("MESSAGE_BURST", "10000"),
        ("BYTE_BURST", "1024m"),
        ("HISTORY_BYTES", "0"),
        ("DURABILITY", "memory"),
    ]);
    let fields: Vec<String> = (0..100_000).map(|n| format!(r#""{n:06}":{{"a":0}}"#)).collect();
    let filled =
        server.request("POST", "/api/games/g/events", &KEY, Some(&format!(r#"{{"patch":{{{}}}}}"#, fields.join(","))));
    assert_eq!(filled.status, 200, "{filled:?}");
    let fill = "x".repeat((2 << 20) - 100_000 * 17 - 2_000);
    let body = json!({"patch": {"fill": fill}}).to_string();
    assert_eq!(server.request("POST", "/api/games/g/events", &KEY, Some(&body)).status, 200);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let began = Instant::now();
    for n in 0..200 {
        alice.send(&json!({"type": "patch", "patch": {"y": "x".repeat(9000)}}));
        alice.send(&json!({"type": "patch", "id": n + 1, "patch": {"000007": {"a": n, "b": null}}}));
    }
    let refused = std::cell::Cell::new(0);
    alice.until(|frame| {
        refused.set(refused.get() + usize::from(frame["code"] == "state_too_large"));
        frame["id"] == 200
    });
    assert_eq!(refused.get(), 200);
    assert!(began.elapsed() < Duration::from_secs(10), "400 patches took {:?}", began.elapsed());
}
