//! Owns the tests of entry to a hub, and of the rules that it shares with rooms (P1, P2, A2 to A13,
//! B1, S4, S5, D4).

use serde_json::{Value, json};

use super::{Config, KEY, Rig, data, subscribe};
use crate::support::{RawSocket, Server, assert_ended, token, unix_secs};

const JWT_SECRET: &str = "0123456789abcdef0123456789abcdef-jwt-secret";

fn signed(claims: &Value) -> String {
    let mut claims = claims.clone();
    claims["exp"] = json!(unix_secs(3600));
    token(JWT_SECRET, &claims)
}

/// A bus with tokens.
fn guarded(keys: &[&str], settings: &[(&str, &str)]) -> Server {
    let keys = [&["provider: bus"], keys].concat();
    Config::new(&[("lobby", &keys)]).start(&[&[("JWT_SECRET", JWT_SECRET)], settings].concat())
}

#[test]
fn p1_a_hub_that_is_not_there_closes_with_4004_and_one_that_is_off_names_the_variable_it_lacks() {
    let server = Server::start(&[]);
    assert_ended(server.connect("/ws/no-such-hub"), 4004, "no_such_hub");
    for hub in ["options", "indices"] {
        let (ended, error) = server.connect(&format!("/ws/{hub}")).ended();
        assert_eq!((ended.code, &error["code"]), (4004, &json!("no_such_hub")), "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains("MASSIVE_API_KEY")), "{error}");
    }
    let server = Server::start(&[("HUBS", "stocks=alpaca,trades=finnhub"), ("ALPACA_API_KEY", KEY)]);
    for (hub, variable) in [("stocks", "ALPACA_API_SECRET"), ("trades", "FINNHUB_API_KEY")] {
        let (ended, error) = server.connect(&format!("/ws/{hub}")).ended();
        assert_eq!(ended.code, 4004, "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(variable)), "{error}");
    }
    assert_ended(server.connect("/ws/options"), 4004, "no_such_hub");
    for path in ["/ws/.hidden", "/ws/lobby/", "/ws/a%20b"] {
        assert_eq!(server.try_connect(path, &[]).err(), Some(400), "{path}");
    }
    assert_eq!(server.get("/ws/lobby").status, 426);
}

#[test]
fn a7_without_a_token_in_time_4001_with_a_wrong_one_4003_and_only_then_is_the_hub_looked_for() {
    let server = guarded(&[], &[("AUTH_TIMEOUT_MS", "1500")]);
    let forged = token("another secret, which is not the server's", &json!({"sub": "a", "exp": unix_secs(60)}));
    let expired = token(JWT_SECRET, &json!({"sub": "a", "exp": unix_secs(-60)}));
    for hub in ["lobby", "no-such-hub", "options"] {
        let mut silent = server.connect(&format!("/ws/{hub}"));
        silent.send(&json!({"type": "subscribe", "topics": ["a"]}));
        assert_eq!(silent.next()["code"], "auth_required");
        assert_ended(silent, 4001, "auth_timeout");
        assert_ended(server.connect(&format!("/ws/{hub}?token={forged}")), 4003, "token_bad_signature");
        assert_ended(server.connect(&format!("/ws/{hub}?token={expired}")), 4003, "token_expired");
    }
    assert_ended(
        server.connect(&format!("/ws/no-such-hub?token={}", signed(&json!({"sub": "a"})))),
        4004,
        "no_such_hub",
    );
}

#[test]
fn a11_any_sub_comes_in_by_any_way_that_a_token_has_and_a_hub_claim_restricts() {
    let server = guarded(&[], &[]);
    for claims in [
        json!({"sub": "alice"}),
        json!({"sub": "somebody else entirely"}),
        json!({"sub": "alice", "hub": "lobby"}),
        json!({"sub": "alice", "hub": ["other", "lobby"]}),
        json!({"sub": "alice", "hub": "*"}),
        json!({"sub": "alice", "game": "chess"}),
        json!({"sub": "alice", "role": "any-role_7"}),
        json!({"sub": "alice", "role": ["player"]}),
    ] {
        let token = signed(&claims);
        let header = ("Authorization", format!("Bearer {token}"));
        let offered = ("Sec-WebSocket-Protocol", format!("innkeeper.v1.json, bearer.{token}"));
        for (name, value) in [&header, &offered] {
            server.try_connect("/ws/lobby", &[(name, value)]).expect("accepted").welcomed();
        }
        server.connect(&format!("/ws/lobby?token={token}")).welcomed();
        let mut client = server.connect("/ws/lobby");
        client.send(&json!({"type": "auth", "token": token}));
        assert_eq!(subscribe(&mut client.welcomed(), &["a"]), "live", "{claims}");
    }
    for hub in [json!("other"), json!(["other", "lobby2"]), json!([]), json!("")] {
        let token = signed(&json!({"sub": "alice", "hub": hub}));
        assert_ended(server.connect(&format!("/ws/lobby?token={token}")), 4003, "token_wrong_hub");
    }
    for role in [json!(7), json!({})] {
        let token = signed(&json!({"sub": "alice", "role": role}));
        let (ended, error) = server.connect(&format!("/ws/lobby?token={token}")).ended();
        assert_eq!(ended.code, 4003, "{role}: {error}");
    }
}

#[test]
fn a11_a_role_decides_what_one_may_have_and_who_publishes() {
    let topics = r#"topics: { vip: ["*"], guest: [], "*": ["public.*"] }"#;
    let server = guarded(&[topics, "publish: [vip]"], &[]);
    let enter = |role: &str| {
        server.connect(&format!("/ws/lobby?token={}", signed(&json!({"sub": "x", "role": role})))).welcomed()
    };
    let (mut vip, mut guest, mut player) = (enter("vip"), enter("guest"), enter("player"));
    let may_have = [&vip, &guest, &player].map(|client| client.welcome["topics"].clone());
    assert_eq!(may_have, [json!(["*"]), json!([]), json!(["public.*"])]);
    assert_eq!(subscribe(&mut vip, &["private", "public.1"]), "live");
    assert_eq!(subscribe(&mut player, &["public.1"]), "live");
    for (client, topic) in [(&mut player, "private"), (&mut guest, "public.1")] {
        client.send(&json!({"type": "subscribe", "topics": [topic]}));
        assert_eq!(client.until_type("error")["code"], "forbidden");
        client.send(&json!({"type": "publish", "id": 1, "topic": "public.1", "data": 1}));
        assert_eq!(client.until_type("error")["code"], "forbidden");
    }
    vip.send(&json!({"type": "publish", "id": 1, "topic": "public.1", "data": 1}));
    assert_eq!(data(&mut player, "public.1")["data"], 1);
}

#[test]
fn a2_a3_a5_origins_rates_and_limits_hold_for_hubs_as_for_players() {
    let rig = Rig::with(&[], &[("MAX_CONNECTIONS_PER_IP", "2")]);
    assert_eq!(rig.server.try_connect("/ws/options", &[("Origin", "https://evil.example")]).err(), Some(403));
    let held = [rig.client(), rig.client()];
    assert_ended(rig.server.connect("/ws/options"), 1008, "connection_limit");
    drop(held);
    rig.server.wait_for_metric("innkeeper_connections", 0.0);
    rig.client();
    let limited = Rig::with(&[], &[("RATE_LIMIT_MAX_REQUESTS", "2")]);
    let _two = [limited.client(), limited.client()];
    assert_eq!(limited.server.try_connect("/ws/options", &[]).err(), Some(429));
    let off = Rig::with(&[], &[("WEBSOCKET_ENABLED", "false")]);
    assert_eq!(off.server.try_connect("/ws/options", &[]).err(), Some(503));
    assert_eq!(off.fake.look(|desk| desk.attempts.len()), 0, "who is refused opens no upstream");
}

#[test]
fn a13_a_subscriber_ends_with_its_token_unless_it_brings_a_new_one() {
    let server = guarded(&[], &[]);
    let brief = || token(JWT_SECRET, &json!({"sub": "a", "exp": unix_secs(4)}));
    let expiring = server.connect(&format!("/ws/lobby?token={}", brief()));
    let mut renewed = server.connect(&format!("/ws/lobby?token={}", brief())).welcomed();
    assert!(renewed.until_type("token_expiring")["in_ms"].as_u64() <= Some(4000));
    renewed.send(&json!({"type": "auth", "token": signed(&json!({"sub": "a"}))}));
    assert_ended(expiring, 4005, "token_expired");
    assert!(renewed.drain().is_empty());
}

#[test]
fn b1_a_silent_subscriber_is_closed_with_4009_and_its_topics_are_given_back() {
    let rig = Rig::with(&[], &[("WS_PING_INTERVAL", "0.2"), ("WS_PING_TIMEOUT", "3")]);
    let mut silent = rig.server.raw().upgrade("/ws/options");
    silent.write(&RawSocket::frame(0x81, br#"{"type":"subscribe","topics":["T.O:A"]}"#));
    rig.fake.wait_for_topics(&["T.O:A"]);
    assert_eq!(silent.close_code(), 4009);
    rig.fake.wait_for_connections(0);
    rig.fake.assert_tidy();
}

#[test]
fn p2_s4_s5_broken_large_and_too_many_frames_end_as_they_do_for_players() {
    let config = Config::new(&[("lobby", &["provider: bus"])]);
    let server = config.start(&[("MAX_MESSAGE_BYTES", "1024")]);
    let mut client = server.connect("/ws/lobby").welcomed();
    let frames = [
        (r#"{"type":"send","data":1}"#, "unknown_type"),
        (r#"{"type":"leave"}"#, "unknown_type"),
        (r#"{"type":"subscribe"}"#, "invalid_field"),
        (r#"{"type":"subscribe","topics":"a"}"#, "invalid_field"),
        (r#"{"type":"subscribe","topics":[7]}"#, "invalid_field"),
        (r#"{"type":"publish","data":1}"#, "invalid_field"),
        ("{", "bad_json"),
    ];
    for (frame, code) in frames {
        client.send_text(frame);
        let error = client.next();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{frame}: {error}");
    }
    for _ in frames.len()..10 {
        client.send_text("{");
    }
    assert_eq!(client.ended().0.code, 1008);
    let mut large = server.raw().upgrade("/ws/lobby");
    large.write(&RawSocket::header(0x81, 1025));
    assert_eq!(large.close_code(), 1009);
    let limited = config.start(&[("MESSAGE_RATE", "5"), ("MESSAGE_BURST", "10")]);
    let mut client = limited.connect("/ws/lobby").welcomed();
    for _ in 0..50 {
        if !client.try_send(&json!({"type": "subscribe", "topics": ["a"]})) {
            break;
        }
    }
    assert_eq!(client.ended().0.code, 4029);
}

#[test]
fn d4_while_draining_subscribers_get_their_slot_and_the_upstream_is_closed() {
    let mut rig = Rig::start();
    let mut client = rig.subscriber(&["T.O:A"]);
    rig.server.signal("TERM");
    let (ended, last) = client.ended();
    assert_eq!((ended.code, &last["type"], &last["code"]), (1012, &json!("going_away"), &json!(1012)), "{last}");
    assert!(rig.server.wait().success());
    rig.fake.wait_for_connections(0);
}
