//! Owns the tests of entry to `/ws/_server`: with which credentials, and which frames it accepts
//! (P1, P2, A2, A5, A7, A11 to A13).

use serde_json::{Value, json};

use super::{line, subscribe, subscriber};
use crate::support::{Server, assert_ended, token, unix_secs};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef-jwt-secret";
const API_SECRET: &str = "0123456789abcdef0123456789abcdef-api-secret";
const SECRETS: [(&str, &str); 2] = [("JWT_SECRET", JWT_SECRET), ("HTTP_API_SECRET", API_SECRET)];

fn admin(expires_in: i64) -> String {
    token(JWT_SECRET, &json!({"sub": "ops", "role": "admin", "exp": unix_secs(expires_in)}))
}

#[test]
fn p1_the_servers_own_hub_is_the_only_name_with_an_underscore() {
    let server = Server::start(&[]);
    for path in
        ["/ws/_other", "/ws/_server/", "/ws/_server/alice", "/ws/g/_server", "/ws/%5fserver", "/proxy/_x", "/proxy"]
    {
        assert_eq!(server.try_connect(path, &[]).err(), Some(400), "{path}");
    }
    for path in ["/ws/_server", "/ws/options", "/proxy/openai"] {
        assert_eq!(server.get(path).status, 426, "{path}");
    }
}

#[test]
fn a7_where_nothing_is_a_token_is_asked_for_first_and_then_it_is_4004() {
    let server = Server::start(&[]);
    assert_ended(server.connect("/ws/no-such"), 4004, "no_such_hub");
    assert_ended(server.connect("/proxy/no-such"), 4004, "no_such_proxy");
    let server = Server::start(&[SECRETS[0], ("AUTH_TIMEOUT_MS", "1500")]);
    let of = |claims: Value| token(JWT_SECRET, &claims);
    for (path, claim) in [("/ws/no-such", "hub"), ("/proxy/no-such", "proxy")] {
        let name = if claim == "hub" { "no_such_hub" } else { "no_such_proxy" };
        assert_ended(server.connect(path), 4001, "auth_timeout");
        assert_ended(server.connect(&format!("{path}?token=anything")), 4003, "token_malformed");
        for claims in [
            json!({"sub": "whoever", "exp": unix_secs(60)}),
            json!({"exp": unix_secs(60), "role": "desk-2", "game": "chess"}),
            json!({"exp": unix_secs(60), claim: ["other", "no-such"]}),
        ] {
            assert_ended(server.connect(&format!("{path}?token={}", of(claims.clone()))), 4004, name);
            let mut client = server.connect(path);
            client.send(&json!({"type": "auth", "token": of(claims)}));
            assert_ended(client, 4004, name);
        }
        let wrong = of(json!({"exp": unix_secs(60), claim: "other"}));
        assert_ended(server.connect(&format!("{path}?token={wrong}")), 4003, &format!("token_wrong_{claim}"));
        let wrong = of(json!({"exp": unix_secs(60), "role": 1}));
        assert_ended(server.connect(&format!("{path}?token={wrong}")), 4003, "token_bad_role");
    }
}

#[test]
fn a10a_in_development_mode_the_operator_key_gets_in_and_the_machine_itself_does_not() {
    let server = Server::start(&[("AUTH_TIMEOUT_MS", "1500")]);
    let key = server.operator_key().expect("a key");
    assert_ended(server.connect("/ws/_server"), 4001, "auth_timeout");
    for header in [("X-Forwarded-For", "203.0.113.9"), ("Host", "localhost")] {
        let client = server.try_connect("/ws/_server", &[header]).expect("accepted, then asked for a token");
        assert_ended(client, 4001, "auth_timeout");
    }
    assert_ended(server.connect("/ws/_server?token=anything"), 4003, "forbidden");
    let offered = format!("innkeeper.v1.json, bearer.{key}");
    server.connect_operator().welcomed();
    server.connect(&format!("/ws/_server?token={key}")).welcomed();
    server.try_connect("/ws/_server", &[("Sec-WebSocket-Protocol", &offered)]).expect("accepted").welcomed();
    let mut client = server.connect("/ws/_server");
    client.send(&json!({"type": "auth", "token": key}));
    client.welcomed();
    assert!(!server.log_text().contains(&key), "A12");
}

#[test]
fn a2_a5_origins_and_limits_hold_for_subscribers_as_for_players() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "2")]);
    let evil = [("Origin", "https://evil.example")];
    assert_eq!(server.try_connect("/ws/_server", &evil).err(), Some(403));
    let held = [subscriber(&server), subscriber(&server)];
    assert_ended(server.connect("/ws/_server"), 1008, "connection_limit");
    drop(held);
    server.wait_for_metric("innkeeper_connections", 0.0);
    subscriber(&server);
    let off = Server::start(&[("WEBSOCKET_ENABLED", "false")]);
    assert_eq!(off.try_connect("/ws/_server", &[]).err(), Some(503));
}

#[test]
fn a7_without_an_operators_token_in_time_a_subscriber_is_closed_with_4001() {
    let server = Server::start(&[SECRETS[1], ("AUTH_TIMEOUT_MS", "1500")]);
    let mut client = server.connect("/ws/_server");
    client.send(&json!({"type": "subscribe", "topics": ["stats"]}));
    client.send(&json!({"type": "ping", "nonce": 1}));
    assert_eq!(client.next()["code"], "auth_required");
    assert_eq!(client.next()["nonce"], 1);
    assert_ended(client, 4001, "auth_timeout");
    let event = server.wait_for_event("WS_CONNECTION_BLOCKED_AUTH_TIMEOUT");
    assert_eq!((&event["hub"], &event["code"]), (&json!("_server"), &json!(4001)), "{event}");
}

#[test]
fn a7_a_wrong_token_and_a_players_token_are_closed_with_4003() {
    let server = Server::start(&SECRETS);
    let claims = |role: Value| json!({"sub": "_server", "game": "*", "exp": unix_secs(3600), "role": role});
    let player = token(JWT_SECRET, &json!({"sub": "alice", "exp": unix_secs(3600)}));
    let forged = token("another secret, which is not the server's", &claims(json!("admin")));
    let spectator = token(JWT_SECRET, &claims(json!("spectator")));
    for wrong in ["garbage", &player, &forged, &spectator, &admin(-60), &API_SECRET[1..], JWT_SECRET] {
        assert_ended(server.connect(&format!("/ws/_server?token={wrong}")), 4003, "forbidden");
        let mut client = server.connect("/ws/_server");
        client.send(&json!({"type": "auth", "token": wrong}));
        assert_ended(client, 4003, "forbidden");
    }
    let mut client = server.connect("/ws/_server");
    client.send(&json!({"type": "auth"}));
    assert_ended(client, 4003, "forbidden");
    server.wait_for_metric("innkeeper_refusals_total{reason=\"auth_failed\"}", 15.0);
    // And the other way round: an operator is no player.
    assert_ended(server.connect(&format!("/ws/g/ops?token={}", admin(3600))), 4003, "token_bad_role");
}

#[test]
fn a11_the_operators_token_may_come_in_the_header_the_subprotocol_the_query_or_the_first_frame() {
    for settings in [&SECRETS[..], &SECRETS[1..]] {
        let server = Server::start(settings);
        let tokens =
            if settings.len() == 2 { vec![API_SECRET.to_owned(), admin(3600)] } else { vec![API_SECRET.into()] };
        for token in tokens {
            let header = ("Authorization", format!("Bearer {token}"));
            let offered = ("Sec-WebSocket-Protocol", format!("innkeeper.v1.json, bearer.{token}"));
            for (name, value) in [&header, &offered] {
                server.try_connect("/ws/_server", &[(name, value)]).expect("accepted").welcomed();
            }
            server.connect(&format!("/ws/_server?token={token}")).welcomed();
            let mut client = server.connect("/ws/_server");
            client.send(&json!({"type": "auth", "token": token}));
            let mut client = client.welcomed();
            subscribe(&mut client, &["stats"]);
        }
    }
}

#[test]
fn a12_no_secret_is_among_the_security_lines_or_in_the_log() {
    let server = Server::start(&SECRETS);
    let (admin, wrong) = (admin(3600), "wrong-token-0123456789abcdef");
    let mut ops = server.connect(&format!("/ws/_server?token={API_SECRET}")).welcomed();
    subscribe(&mut ops, &["security"]);
    let also = server.try_connect("/ws/_server", &[("Authorization", &format!("Bearer {admin}"))]);
    let mut also = also.expect("accepted").welcomed();
    let player = token(JWT_SECRET, &json!({"sub": "alice", "exp": unix_secs(3600)}));
    let alice = server.connect(&format!("/ws/g/alice?token={player}")).welcomed();
    let session = alice.session().to_owned();
    alice.cut();
    server.connect(&format!("/ws/g/alice?token={player}&session={session}&seq=1")).welcomed();
    assert_ended(server.connect(&format!("/ws/_server?token={wrong}")), 4003, "forbidden");
    assert_ended(server.connect(&format!("/ws/g/bob?token={wrong}")), 4003, "token_malformed");
    also.send(&json!({"type": "subscribe", "topics": [wrong]}));
    also.drain();
    line(&mut ops, |line| line["player"] == "bob");
    subscribe(&mut also, &["security"]);
    let whole = also.until_type("data").to_string();
    assert!(whole.matches("WS_CONNECTION_").count() >= 6, "{whole}");
    for secret in [API_SECRET, JWT_SECRET, wrong, &session].into_iter().chain(admin.split('.')).chain(player.split('.'))
    {
        assert!(secret.len() >= 16 && !whole.contains(secret), "{secret} is in {whole}");
        assert!(!server.log_text().contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a13_a_subscriber_ends_with_its_token_unless_it_brings_a_new_one_and_the_secret_does_not_end() {
    let server = Server::start(&SECRETS);
    let expiring = server.connect(&format!("/ws/_server?token={}", admin(4)));
    let mut renewed = server.connect(&format!("/ws/_server?token={}", admin(4))).welcomed();
    let mut by_secret = server.connect(&format!("/ws/_server?token={API_SECRET}")).welcomed();
    assert!(renewed.until_type("token_expiring")["in_ms"].as_u64() <= Some(4000));
    renewed.send(&json!({"type": "auth", "token": admin(3600)}));
    assert_ended(expiring, 4005, "token_expired");
    assert!(renewed.drain().is_empty() && by_secret.drain().is_empty());
    renewed.send(&json!({"type": "auth", "token": "garbage"}));
    assert_ended(renewed, 4003, "forbidden");
}

#[test]
fn p2_a_players_frames_and_broken_ones_are_errors_and_the_tenth_closes_with_1008() {
    let server = Server::start(&[]);
    let mut ops = subscriber(&server);
    let frames = [
        (r#"{"type":"send","data":1}"#, "unknown_type"),
        (r#"{"type":"patch","patch":{}}"#, "unknown_type"),
        (r#"{"type":"leave"}"#, "unknown_type"),
        (r#"{"type":"subscribe"}"#, "invalid_field"),
        (r#"{"type":"subscribe","topics":"stats"}"#, "invalid_field"),
        (r#"{"type":"unsubscribe","topics":[]}"#, "invalid_field"),
        ("{", "bad_json"),
    ];
    for (frame, code) in frames {
        ops.send_text(frame);
        let error = ops.next();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{frame}: {error}");
    }
    assert!(ops.drain().is_empty());
    for _ in frames.len()..10 {
        ops.send_text("{");
    }
    let (ended, last) = ops.ended();
    assert_eq!((ended.code, &last["code"]), (1008, &json!("bad_json")), "{last}");
    let mut alice = server.connect("/ws/g/alice").welcomed();
    alice.send(&json!({"type": "subscribe", "topics": ["stats"]}));
    assert_eq!(alice.until_type("error")["code"], "unknown_type", "a room has no topics");
}

#[test]
fn s5_a_subscriber_that_sends_too_much_is_closed_with_4029() {
    let server = Server::start(&[("MESSAGE_RATE", "5"), ("MESSAGE_BURST", "10")]);
    let mut ops = subscriber(&server);
    for _ in 0..50 {
        if !ops.try_send(&json!({"type": "subscribe", "topics": ["stats"]})) {
            break;
        }
    }
    assert_eq!(ops.ended().0.code, 4029);
}
