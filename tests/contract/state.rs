//! Owns the tests of a room's shared state: patch, if_seq, the bound, and what a newcomer gets (3.1, R2).
//! Run by `cargo test --test contract`.

use crate::support::Server;
use serde_json::json;

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
fn the_bound_holds_for_numbers_that_are_longer_in_the_state_than_in_the_patch() {
    let server = Server::start(&[("MAX_STATE_BYTES", "400")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let numbers = vec!["1e15"; 60].join(",");
    alice.send_text(&format!(r#"{{"type":"patch","id":1,"patch":{{"a":[{numbers}]}}}}"#));
    assert_eq!(alice.next()["code"], "state_too_large");
    assert_eq!(server.connect("/ws/g/bob").welcomed().welcome["state"], json!({}));
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
