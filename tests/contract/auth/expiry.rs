//! Owns the tests of a token's expiry, and of its replacement (A13).

use serde_json::json;

use super::{OTHER_SECRET, SECRET, assert_ended, good, server};
use crate::support::{token, unix_secs};

/// Seconds until a token runs out that is waited for: long enough to get in with it on the slowest
/// machine.
const SOON: i64 = 4;

#[test]
fn a13_expiry_is_announced_and_then_closes_with_4005() {
    let server = server();
    let short = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(SOON)}));
    let mut client = server.connect(&format!("/ws/g/alice?token={short}")).welcomed();
    let warning = client.next();
    assert_eq!(warning["type"], "token_expiring", "{warning}");
    assert!(warning["in_ms"].as_u64().is_some_and(|ms| ms <= SOON as u64 * 1000), "{warning}");
    assert_ended(client, 4005, "token_expired");
    assert_eq!(server.wait_for_event("WS_CONNECTION_CLOSED")["cause"], "token_expired");
}

#[test]
fn a13_the_announcement_comes_30_s_before_expiry_and_not_sooner() {
    let server = server();
    let exp = unix_secs(32);
    let token = token(SECRET, &json!({"sub": "alice", "exp": exp}));
    let mut client = server.connect(&format!("/ws/g/alice?token={token}")).welcomed();
    let warning = client.next();
    assert_eq!(warning["type"], "token_expiring", "{warning}");
    // A slow machine makes it later, nothing makes it sooner.
    assert!(warning["in_ms"].as_u64().is_some_and(|ms| (1..=30_000).contains(&ms)), "{warning}");
    assert!(unix_secs(0) >= exp - 30);
}

#[test]
fn a13_a_later_auth_replaces_the_token_so_that_the_first_ones_expiry_passes_unnoticed() {
    let server = server();
    let until = |player: &str, offset| token(SECRET, &json!({"sub": player, "exp": unix_secs(offset)}));
    let mut renewed = server.connect(&format!("/ws/g/renewed?token={}", until("renewed", SOON))).welcomed();
    // Its token expires no sooner than the other's first: its end is the event to wait for.
    let witness = server.connect(&format!("/ws/w/witness?token={}", until("witness", SOON))).welcomed();
    renewed.send(&json!({"type": "auth", "token": until("renewed", 3600)}));
    assert!(renewed.drain().iter().all(|frame| frame["type"] == "token_expiring"), "a renewal needs no answer");
    assert_ended(witness, 4005, "token_expired");
    renewed.send(&json!({"type": "send", "id": 1, "data": 1}));
    assert_eq!(renewed.until_type("message")["from"], "renewed");
    // And the new one counts from now on.
    renewed.send(&json!({"type": "auth", "token": until("renewed", SOON)}));
    assert_eq!(renewed.next()["type"], "token_expiring");
    assert_ended(renewed, 4005, "token_expired");
}

#[test]
fn a13_a_later_bad_token_closes_with_4003() {
    let server = server();
    for (bad, code) in [
        ("garbage".to_owned(), "token_malformed"),
        (good("bob"), "token_wrong_player"),
        (token(OTHER_SECRET, &json!({"sub": "alice", "exp": unix_secs(60)})), "token_bad_signature"),
    ] {
        let mut client = server.connect(&format!("/ws/g/alice?token={}", good("alice"))).welcomed();
        client.send(&json!({"type": "auth", "token": bad}));
        let (ended, last) = client.ended();
        assert_eq!((ended.code, last["code"].as_str()), (4003, Some(code)));
    }
    let event = server.wait_for_event("WS_CONNECTION_CLOSED");
    assert_eq!((&event["cause"], &event["code"]), (&json!("auth_failed"), &json!(4003)), "{event}");
}
