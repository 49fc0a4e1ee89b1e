//! Owns the tests of the errors that a proxy's clients get (X6), and of the paths of OpenAI's own
//! clients. `Peer::refused` checks the shape of every error that comes before a close.

use serde_json::json;
use tungstenite::Message;

use super::{Peer, SECRET, Upstream, serve, serve_described};
use crate::support::Server;

#[test]
fn x6_an_error_of_a_proxy_can_be_read_as_openais_clients_do_and_one_of_a_room_stays_as_it_is() {
    let upstream = Upstream::start();
    let keys = ["allowed_types: [a]", "max_client_message_bytes: 1k", "budget: { messages: 2 }"];
    let (server, _file) = serve_described(&upstream, &keys, &[]);
    let mut client = Peer::enter(&server, "/proxy/test");
    client.send(r#"{"type":"b"}"#);
    let error = client.json();
    let (code, message) = (error["code"].as_str().expect("a code"), error["message"].as_str().expect("words"));
    assert_eq!((&error["type"], code), (&json!("error"), "forbidden"));
    assert_eq!(error["error"], json!({"type": "innkeeper", "code": code, "message": message}));
    (0..3).for_each(|_| client.send(r#"{"type":"a"}"#));
    client.refused(1008, "budget_exceeded");

    let mut client = Peer::enter(&server, "/proxy/test");
    let _ = client.socket.send(Message::text("x".repeat(1025)));
    let message = client.refused(1009, "message_too_big");
    assert!(message.contains("max_client_message_bytes") && message.contains("1024"), "{message}");
    assert!(!message.contains("MAX_MESSAGE_BYTES"), "{message}");

    let mut player = server.connect("/ws/g/alice").welcomed();
    player.send(&json!({"type": "dance"}));
    assert!(player.until_type("error").get("error").is_none());
}

#[test]
fn x6_those_who_are_not_let_in_are_told_in_the_same_shape() {
    let upstream = Upstream::start();
    let more = [("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "300"), ("MAX_CONNECTIONS_PER_IP", "1")];
    let server = serve(&upstream, &more);
    Peer::connect(&server, "/proxy/nobody").refused(4001, "auth_timeout");
    server.wait_for_metric("innkeeper_connections", 0.0);
    let first = Peer::connect(&server, "/proxy/openai");
    Peer::connect(&server, "/proxy/openai").refused(1008, "connection_limit");
    drop(first);
    server.wait_for_metric("innkeeper_connections", 0.0);
    Peer::connect(&server, "/proxy/openai?token=bad").refused(4003, "token_malformed");
    server.wait_for_metric("innkeeper_connections", 0.0);
    let mut silent = Peer::connect(&server, "/proxy/openai");
    silent.send(r#"{"type":"session.update"}"#);
    let error = silent.json();
    assert_eq!((&error["code"], &error["error"]["code"]), (&json!("unknown_type"), &json!("unknown_type")));
}

#[test]
fn x6_with_error_frames_false_every_frame_is_the_upstreams() {
    let upstream = Upstream::start();
    let keys = ["error_frames: false", "resume_ms: 0", "allowed_types: [a]", "budget: { messages: 2 }"];
    let (mut server, _file) = serve_described(&upstream, &keys, &[]);
    let nothing = |client: &mut Peer, code: u16, reason: &str| {
        assert_eq!(client.ended(), (code, reason.to_owned(), String::new()));
    };
    let mut client = Peer::connect(&server, "/proxy/test");
    let mut leg = upstream.leg();
    client.send(r#"{"type":"b"}"#);
    client.send(r#"{"type":"a"}"#);
    assert_eq!(leg.text(), r#"{"type":"a"}"#);
    leg.send("first of all");
    assert_eq!(client.text(), "first of all");
    client.send(r#"{"type":"a"}"#);
    nothing(&mut client, 1008, "budget_exceeded");

    let mut client = Peer::connect(&server, "/proxy/test");
    let _leg = upstream.leg();
    (0..10).for_each(|_| client.send("refused"));
    nothing(&mut client, 1008, "too_many_errors");

    upstream.refuse_with(401);
    nothing(&mut Peer::connect(&server, "/proxy/test"), 4004, "upstream_refused");
    upstream.refuse_with(0);

    let mut client = Peer::connect(&server, "/proxy/test");
    let _leg = upstream.leg();
    server.signal("TERM");
    let (code, _, last) = client.ended();
    assert_eq!((code, last.as_str()), (1012, ""));
    assert!(server.wait().success());
}

#[test]
fn x6_a_path_that_ends_in_realtime_is_the_proxys_own() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let _client = Peer::enter(&server, "/proxy/openai/realtime?model=m");
    assert_eq!(upstream.leg().uri, "/v1/realtime?model=m");
    assert_eq!(server.get("/proxy/openai/realtime").status, 426);
    assert_eq!(server.get("/proxy/openai/realtime/x").status, 400);
}

#[test]
fn x3_a_transcription_session_and_a_call_pass_without_a_model_in_their_place() {
    let upstream = Upstream::start();
    let server: Server = serve(&upstream, &[]);
    for (query, passed) in [
        ("intent=transcription", "intent=transcription"),
        ("call_id=rtc_1&x=y", "call_id=rtc_1"),
        ("intent=transcription&model=m", "model=m&intent=transcription"),
        ("", "model=gpt-realtime"),
    ] {
        let client = Peer::enter(&server, &format!("/proxy/openai?{query}"));
        assert_eq!(upstream.leg().uri, format!("/v1/realtime?{passed}"));
        drop(client);
    }
}
