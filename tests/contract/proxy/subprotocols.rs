//! Owns the tests of the subprotocols that are offered to a proxy, and of those that carry a token
//! (A14).

use std::io::Read as _;

use serde_json::json;

use super::{SECRET, Upstream, serve_described};
use crate::support::{Server, token, unix_secs};

/// The subprotocol that is echoed to these header lines, and whether a token was found in them.
fn knock(server: &Server, path: &str, lines: &[Vec<u8>]) -> (Option<String>, bool) {
    let mut socket = server.raw();
    let begin = "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut request = begin.replace("{path}", path).into_bytes();
    for line in lines {
        request.extend_from_slice(b"Sec-WebSocket-Protocol: ");
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    socket.write(&request);
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        socket.0.read_exact(&mut byte).expect("the handshake's answer");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let echoed = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: ")).map(str::to_owned);
    let (first, payload) = socket.next_frame().expect("a frame");
    assert_eq!(first, 0x81);
    let frame: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
    (echoed, frame["type"] == "welcome")
}

#[test]
fn a14_at_a_proxy_the_first_name_that_is_no_credential_is_echoed_and_openais_key_is_a_token() {
    let upstream = Upstream::start();
    let more = [("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "300")];
    let (server, _file) = serve_described(&upstream, &["budget: { sessions_per_player: 100 }"], &more);
    let jwt = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600)}));
    let (bearer, openai) = (format!("bearer.{jwt}"), format!("openai-insecure-api-key.{jwt}"));
    let long = "x".repeat(65);
    let line = |names: &[&str]| names.join(", ").into_bytes();
    let cases = [
        (vec![line(&["realtime", &openai, "openai-beta.realtime-v1"])], Some("realtime"), true),
        (vec![line(&[&openai, "realtime"])], Some("realtime"), true),
        (vec![line(&["realtime", &bearer, "innkeeper.v1.json"])], Some("innkeeper.v1.json"), true),
        (vec![line(&[&bearer])], None, true),
        (vec![line(&[&openai])], None, true),
        (vec![line(&[&long, "Bearer.x", "later"])], Some("later"), false),
        (vec![b"".to_vec(), line(&["", &bearer, ""]), line(&["", "realtime"])], Some("realtime"), true),
        (vec![b"caf\xe9, realtime".to_vec(), line(&[&openai])], Some("realtime"), true),
        (vec![b"\xff\xfe".to_vec()], None, false),
    ];
    for (lines, echoed, has_token) in cases {
        let found = knock(&server, "/proxy/test", &lines);
        assert_eq!(found, (echoed.map(str::to_owned), has_token), "{lines:?}");
    }
    assert!(!server.log_text().contains(&jwt));
}

#[test]
fn a14_a_room_echoes_ours_alone_and_takes_no_key_of_openais_for_a_token() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "300"), ("HUBS", "lobby=bus")]);
    let jwt = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600)}));
    for path in ["/ws/g/alice", "/ws/lobby"] {
        let knock = |line: String| knock(&server, path, &[b"\xff".to_vec(), line.into_bytes()]);
        assert_eq!(knock(format!("realtime, openai-insecure-api-key.{jwt}")), (None, false));
        assert_eq!(knock(format!("realtime, bearer.{jwt}")), (None, true));
        let ours = Some("innkeeper.v1.json".to_owned());
        assert_eq!(knock(format!("realtime, innkeeper.v1.json, bearer.{jwt}")), (ours.clone(), true));
        assert_eq!(knock(format!("openai-insecure-api-key.{jwt}, innkeeper.v1.json")), (ours, false));
    }
}
