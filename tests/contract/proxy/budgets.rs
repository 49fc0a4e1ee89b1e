//! Owns the tests of what a proxy's clients may send, and of their budgets (X3).

use serde_json::json;
use tungstenite::Message;

use super::{Peer, SECRET, Upstream, serve_described};
use crate::support::{token, unix_secs};

#[test]
fn x3_only_allowed_types_pass_and_what_does_not_is_an_error_until_there_are_too_many() {
    let upstream = Upstream::start();
    let keys = ["allowed_types: [response.create, \"session.update\"]", "binary: false"];
    let (server, _file) = serve_described(&upstream, &keys, &[]);
    let mut client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    let allowed = r#"{"type":"session.update","session":{"type":"realtime"}}"#;
    for refused in [r#"{"type":"other"}"#, "not json", r#"["response.create"]"#, r#"{"x":1}"#] {
        client.send(refused);
        assert_eq!(client.json()["code"], "forbidden", "{refused}");
    }
    client.socket.send(Message::binary(vec![1, 2, 3])).expect("sent");
    assert_eq!(client.json()["code"], "unsupported");
    client.send(allowed);
    assert_eq!(leg.text(), allowed, "nothing else came before it");
    leg.send("the connection lives");
    assert_eq!(client.text(), "the connection lives");
    // P2: the tenth within 10 s is the last.
    for _ in 0..5 {
        client.send("{}");
    }
    client.refused(1008, "forbidden");
    assert_eq!(leg.ended().map(|(code, _)| code), Some(1001));
}

#[test]
fn x3_each_budget_of_a_session_ends_it_with_an_error_that_names_it_and_1008() {
    let upstream = Upstream::start();
    let cases = [
        ("budget: { session_s: 1.5 }", "session_s"),
        ("budget: { bytes: 1000 }", "bytes"),
        ("budget: { messages: 5 }", "messages"),
    ];
    for (key, name) in cases {
        let (server, _file) = serve_described(&upstream, &[key], &[]);
        let mut client = Peer::enter(&server, "/proxy/test");
        let mut leg = upstream.leg();
        // In time a slow machine might not say as much.
        for _ in 0..if name == "session_s" { 0 } else { 2 } {
            client.send(&"u".repeat(240));
            leg.text();
            leg.send(&"d".repeat(240));
            client.text();
        }
        // 960 bytes and 4 messages: the fifth message fits by number only, and by whomever it is
        // sent, the sixth does not.
        match name {
            "bytes" => leg.send(&"d".repeat(41)),
            "messages" => {
                client.send("five");
                assert_eq!(leg.text(), "five");
                client.send("six");
            }
            _ => {}
        }
        let message = client.refused(1008, "budget_exceeded");
        assert!(message.starts_with(name), "{message}");
        assert!(leg.ended().is_some(), "{name}");
        server.wait_for_metric("innkeeper_proxy_budget_closes_total{proxy=\"test\"}", 1.0);
        let way_back = client.way_back(2);
        assert_eq!(Peer::enter(&server, &way_back).welcome["resume"], "reset", "there is nothing to come back to");
        upstream.leg();
    }
}

#[test]
fn x3_sessions_are_limited_per_player_and_in_total_across_shards() {
    let upstream = Upstream::start();
    let keys = ["budget: { sessions_per_player: 2, sessions: 5 }", "resume_ms: 300"];
    let (server, _file) = serve_described(&upstream, &keys, &[("JWT_SECRET", SECRET), ("SHARDS", "3")]);
    let path = |name: &str| {
        let jwt = token(SECRET, &json!({"sub": name, "exp": unix_secs(600)}));
        format!("/proxy/test?token={jwt}")
    };
    let mut clients: Vec<_> = ["a", "a", "b", "b"].map(|name| Peer::enter(&server, &path(name))).into();
    let message = Peer::connect(&server, &path("a")).refused(1008, "budget_exceeded");
    assert!(message.starts_with("sessions_per_player"), "{message}");
    clients.push(Peer::enter(&server, &path("c")));
    let message = Peer::connect(&server, &path("d")).refused(1008, "budget_exceeded");
    assert!(message.starts_with("sessions:"), "{message}");
    // A place comes back when the upstream is closed, however its client went.
    clients.swap_remove(0).cut();
    server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"test\"}", 4.0);
    clients.push(Peer::enter(&server, &path("d")));
    server.wait_for_metric("innkeeper_proxy_budget_closes_total{proxy=\"test\"}", 2.0);
}

#[test]
fn x3_a_player_whose_client_was_lost_gets_in_anew_and_the_session_that_was_away_ends() {
    let upstream = Upstream::start();
    let keys = ["budget: { sessions_per_player: 2, sessions: 3 }", "resume_ms: 60000"];
    let (server, _file) = serve_described(&upstream, &keys, &[("JWT_SECRET", SECRET), ("SHARDS", "3")]);
    let jwt = |name: &str| token(SECRET, &json!({"sub": name, "exp": unix_secs(600)}));
    let path = |name: &str| format!("/proxy/test?token={}", jwt(name));
    let enter = |name: &str| (Peer::enter(&server, &path(name)), upstream.leg());
    let lost = || server.log_text().matches("\"cause\":\"connection_lost\"").count();
    let cut = |client: Peer| {
        let way_back = format!("{}&token={}", client.way_back(0), jwt("a"));
        let before = lost();
        client.cut();
        server.wait_until(|| lost() > before, "the loss is noticed");
        way_back
    };
    let (first, mut first_leg) = enter("a");
    let (second, mut second_leg) = enter("a");
    let (other, mut other_leg) = enter("b");
    Peer::connect(&server, &path("a")).refused(1008, "budget_exceeded");

    // Whoever went first goes; the total limit, and others, make no difference.
    let first = cut(first);
    let second = cut(second);
    cut(other);
    Peer::connect(&server, &path("c")).refused(1008, "budget_exceeded");
    let (mut third, mut third_leg) = enter("a");
    assert_eq!(first_leg.ended(), Some((1001, String::new())));
    // It came too late, and has no place of its own either: the one that is away goes.
    let late = Peer::enter(&server, &first);
    assert_eq!((&late.welcome["resume"], &late.welcome["reason"]), (&json!("reset"), &json!("session_expired")));
    let mut late_leg = upstream.leg();
    assert_eq!(second_leg.ended(), Some((1001, String::new())));
    let message = Peer::connect(&server, &second).refused(1008, "budget_exceeded");
    assert!(message.starts_with("sessions_per_player"), "both are there: {message}");
    for (leg, client) in [(&mut third_leg, &mut third), (&mut late_leg, &mut { late })] {
        leg.send("alive");
        assert_eq!(client.text(), "alive");
    }
    // Who came back is not away any more.
    let third = cut(third);
    let mut back = Peer::enter(&server, &third);
    assert_eq!(back.welcome["resume"], "continuous");
    other_leg.send("while away");
    third_leg.send("still");
    assert_eq!((back.text(), back.text()), ("alive".to_owned(), "still".to_owned()));
    server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"test\"}", 3.0);
}

#[test]
fn x3_in_development_mode_sessions_are_limited_per_address() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &["budget: { sessions_per_player: 1 }"], &[]);
    let _first = Peer::enter(&server, "/proxy/test");
    Peer::connect(&server, "/proxy/test").refused(1008, "budget_exceeded");
}

#[test]
fn s4_the_proxys_own_message_bound_holds_for_its_clients() {
    let upstream = Upstream::start();
    let keys = ["max_client_message_bytes: 200k"];
    let (server, _file) = serve_described(&upstream, &keys, &[("MAX_MESSAGE_BYTES", "1024")]);
    let mut client = Peer::enter(&server, "/proxy/test");
    assert_eq!(client.welcome["max_message_bytes"], 204_800);
    let mut leg = upstream.leg();
    client.send(&"x".repeat(204_800));
    assert_eq!(leg.text().len(), 204_800);
    let _ = client.socket.send(Message::text("x".repeat(204_801)));
    client.refused(1009, "message_too_big");
    assert!(leg.ended().is_some());
}

#[test]
fn s4_before_its_token_a_client_may_send_no_more_than_anybody() {
    let upstream = Upstream::start();
    let more = [("MAX_MESSAGE_BYTES", "1024"), ("JWT_SECRET", SECRET)];
    let (server, _file) = serve_described(&upstream, &[], &more);
    let mut client = Peer::connect(&server, "/proxy/test");
    // Room for the longest token and no more.
    let _ = client.socket.send(Message::text("x".repeat(18 * 1024)));
    client.refused(1009, "message_too_big");
    let mut client = Peer::connect(&server, "/proxy/test");
    let jwt = token(SECRET, &json!({"sub": "a", "exp": unix_secs(600)}));
    client.send(&json!({"type": "auth", "token": jwt}).to_string());
    let mut client = client.welcomed();
    client.send(&"x".repeat(100_000));
    assert_eq!(upstream.leg().text().len(), 100_000);
}

#[test]
fn x3_a_client_sets_the_query_parameters_that_it_may_and_the_defaults_hold_otherwise() {
    let upstream = Upstream::start();
    let keys = ["query: [model, voice]", "query_defaults: { model: small, voice: plain }"];
    let (server, _file) = serve_described(&upstream, &keys, &[]);
    let _client = Peer::enter(&server, "/proxy/test?voice=deep%26x%3D1&key=mine&intent=transcription");
    assert_eq!(upstream.leg().uri, "/v1/realtime?model=small&voice=deep%26x%3D1");
}
