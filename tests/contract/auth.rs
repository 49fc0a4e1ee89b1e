//! Owns the tests of tokens: where requests carry them, their claims, their expiry (A7, A10 to
//! A13).

mod claims;
mod expiry;
mod issuers;
mod providers;
mod secrecy;
mod strict;

use serde_json::{Value, json};

use crate::support::{Server, assert_ended, token, unix_secs};

const SECRET: &str = "0123456789abcdef0123456789abcdef-jwt-secret";
const OTHER_SECRET: &str = "fedcba9876543210fedcba9876543210-jwt-secret";

fn server() -> Server {
    Server::start(&[("JWT_SECRET", SECRET)])
}

fn good(player: &str) -> String {
    token(SECRET, &json!({"sub": player, "exp": unix_secs(3600)}))
}

#[test]
fn a8_who_waits_in_silence_is_told_that_a_token_is_awaited_and_may_still_send_it() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "60000")]);
    let mut alice = server.connect("/ws/g/alice");
    let hint = alice.next();
    assert_eq!((&hint["type"], &hint["code"]), (&json!("error"), &json!("auth_required")), "{hint}");
    alice.send(&json!({"type": "auth", "token": good("alice")}));
    alice.welcomed();
}

#[test]
fn a7_no_token_in_time_is_accepted_then_closed_with_4001_whatever_else_is_said() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "1500")]);
    assert_ended(server.connect("/ws/g/silent"), 4001, "auth_timeout");
    let event = server.wait_for_event("WS_CONNECTION_BLOCKED_AUTH_TIMEOUT");
    assert_eq!((&event["cause"], &event["code"]), (&json!("auth_timeout"), &json!(4001)), "{event}");
    assert_eq!((&event["player"], &event["level"]), (&json!("silent"), &json!("warn")), "{event}");

    let mut talker = server.connect("/ws/g/talker");
    talker.send(&json!({"type": "ping", "nonce": 1}));
    talker.send(&json!({"type": "send", "data": 1}));
    assert_eq!(talker.next()["nonce"], 1);
    assert_eq!(talker.next()["code"], "auth_required");
    assert_ended(talker, 4001, "auth_timeout");
    server.wait_for_metric("innkeeper_refusals_total{reason=\"auth_timeout\"}", 2.0);
    server.wait_for_metric("innkeeper_disconnects_total{cause=\"auth_timeout\"}", 2.0);
}

#[test]
fn a7_a_bad_token_is_accepted_then_closed_with_4003_and_never_enters_the_room() {
    let server = server();
    let mut bob = server.connect(&format!("/ws/g/bob?token={}", good("bob"))).welcomed();
    assert_ended(server.connect("/ws/g/eve?token=garbage"), 4003, "token_malformed");
    let event = server.wait_for_event("WS_CONNECTION_BLOCKED_AUTH_FAILED");
    assert_eq!((&event["cause"], &event["code"]), (&json!("auth_failed"), &json!(4003)), "{event}");
    assert_eq!((&event["game"], &event["player"]), (&json!("g"), &json!("eve")), "{event}");
    server.wait_for_metric("innkeeper_refusals_total{reason=\"auth_failed\"}", 1.0);
    assert_eq!(bob.drain(), Vec::<Value>::new(), "the room noticed nothing");
    assert!(!server.log_text().contains("\"WS_CONNECTION_CLOSED\""), "one event for one end");
}

#[test]
fn a10_an_open_server_says_so_loudly_and_once() {
    let loud = |server: &Server| server.log_text().matches("DEVELOPMENT MODE").count();
    let open = Server::start(&[]);
    open.connect("/ws/g/a").welcomed();
    open.connect("/ws/g/b").welcomed();
    let line = open.wait_for_log(|line| line["message"].as_str().is_some_and(|text| text.contains("DEVELOPMENT MODE")));
    assert_eq!(line["level"], "warn", "{line}");
    assert!(line["message"].as_str().is_some_and(|text| text.contains("JWT_SECRET")), "{line}");
    open.wait_for_event("WS_CONNECTION_CLOSED");
    assert_eq!(loud(&open), 1);

    let on_purpose = Server::start(&[("RAILWAY_ENVIRONMENT_NAME", "production"), ("AUTH", "off")]);
    on_purpose.connect("/ws/g/a").welcomed();
    assert_eq!(loud(&on_purpose), 1);

    let hosted = Server::start(&[("RAILWAY_ENVIRONMENT_NAME", "production"), ("JWT_SECRET", SECRET)]);
    hosted.connect(&format!("/ws/g/a?token={}", good("a"))).welcomed();
    hosted.wait_for_event("WS_CONNECTION_ESTABLISHED");
    assert_eq!(loud(&hosted), 0);
}

#[test]
fn a11_a_token_may_come_in_the_header_the_subprotocol_the_query_or_the_first_frame() {
    let server = server();
    let alice = good("alice");
    let header = [("Authorization", format!("Bearer {alice}"))];
    let subprotocol = [("Sec-WebSocket-Protocol", format!("innkeeper.v1.json, bearer.{alice}"))];
    for (path, headers) in [
        ("/ws/by-header/alice".to_owned(), &header[..]),
        ("/ws/by-subprotocol/alice".to_owned(), &subprotocol[..]),
        (format!("/ws/by-query/alice?token={alice}"), &[]),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let client = server.try_connect(&path, &headers).expect("accepted").welcomed();
        assert_eq!(client.welcome["player"], "alice", "{path}");
    }
    let mut client = server.connect("/ws/by-frame/alice");
    client.send(&json!({"type": "auth", "token": alice}));
    client.welcomed();
}

#[test]
fn a11_the_first_place_that_has_a_token_counts_and_the_rest_is_not_looked_at() {
    let server = server();
    let alice = good("alice");
    // The token of each place in A11's order; `None`: nothing there.
    let connect = |game: &str, header: Option<&str>, subprotocol: Option<&str>, query: Option<&str>| {
        let header = header.map(|token| ("Authorization", format!("Bearer {token}")));
        let subprotocol =
            subprotocol.map(|token| ("Sec-WebSocket-Protocol", format!("innkeeper.v1.json, bearer.{token}")));
        let headers: Vec<_> = header.iter().chain(&subprotocol).map(|(name, value)| (*name, value.as_str())).collect();
        let query = query.map(|token| format!("?token={token}")).unwrap_or_default();
        server.try_connect(&format!("/ws/{game}/alice{query}"), &headers).expect("accepted")
    };
    let (yes, no) = (Some(alice.as_str()), Some("bad.bad.bad"));
    connect("1", yes, no, no).welcomed();
    connect("2", None, yes, no).welcomed();
    connect("3", None, Some(""), yes).welcomed();
    assert_ended(connect("4", no, yes, yes), 4003, "token_malformed");
    assert_ended(connect("5", None, no, yes), 4003, "token_malformed");
}

#[test]
fn a11_an_auth_frame_with_a_bad_token_or_none_is_refused() {
    let server = server();
    for frame in
        [json!({"type": "auth", "token": "garbage"}), json!({"type": "auth", "token": ""}), json!({"type": "auth"})]
    {
        let mut client = server.connect("/ws/g/alice");
        client.send(&frame);
        assert_ended(client, 4003, "token_malformed");
    }
    let mut client = server.connect("/ws/g/alice");
    client.send(&json!({"type": "auth", "token": good("bob")}));
    assert_ended(client, 4003, "token_wrong_player");
}
