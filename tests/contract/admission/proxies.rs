//! Owns the tests of proxies in front of the server: which address counts, and a proxy that the
//! settings do not declare (A3, A5).

use std::io::{Read as _, Write as _};

use crate::support::{Server, assert_ended};

/// The address in the log of a player whose upgrade carries these header lines as they are.
fn logged_address(server: &Server, player: &str, lines: &[u8]) -> String {
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", server.port)).expect("the server accepts");
    let mut request = format!(
        "GET /ws/g/{player} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    .into_bytes();
    request.extend_from_slice(lines);
    request.extend_from_slice(b"\r\n");
    socket.write_all(&request).expect("written");
    let mut status = [0; 12];
    socket.read_exact(&mut status).expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 101");
    let line = server.wait_for_log(|line| line["event"] == "WS_CONNECTION_ESTABLISHED" && line["player"] == player);
    line["address"].as_str().expect("an address").to_owned()
}

#[test]
fn a5_bytes_that_are_no_text_do_not_swap_the_clients_address_for_the_proxys() {
    let server = Server::start(&[("CLIENT_IP_HEADER", "X-Forwarded-For")]);
    for (player, lines, expected) in [
        ("plain", &b"X-Forwarded-For: 1.1.1.1, 203.0.113.9\r\n"[..], "203.0.113.9"),
        ("before", b"X-Forwarded-For: \xff, 203.0.113.9\r\n", "203.0.113.9"),
        ("line", b"X-Forwarded-For: \xff\r\nX-Forwarded-For: 203.0.113.9\r\n", "203.0.113.9"),
        ("nat64", b"X-Forwarded-For: \x80,64:ff9b::203.0.113.9\r\n", "203.0.113.9"),
        ("last", b"X-Forwarded-For: 203.0.113.9, \xff\r\n", "127.0.0.1"),
    ] {
        assert_eq!(logged_address(&server, player, lines), expected, "{player}");
    }
}

#[test]
fn a5_an_undeclared_proxy_is_warned_of_once_and_named_to_the_player_it_refuses() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "2")]);
    let by_proxy = [("X-Forwarded-For", "203.0.113.7")];
    let held: Vec<_> = ["a", "b"]
        .map(|player| server.try_connect(&format!("/ws/g/{player}"), &by_proxy).expect("accepted").welcomed())
        .into();
    let (ended, last) = server.try_connect("/ws/g/c", &by_proxy).expect("accepted").ended();
    let message = last["message"].as_str().expect("a message");
    assert_eq!((ended.code, &last["code"]), (1008, &serde_json::json!("connection_limit")));
    assert!(message.contains("CLIENT_IP_HEADER") && message.contains("x-forwarded-for"), "{message}");
    server.wait_for_line(|line| line.contains("CLIENT_IP_HEADER is unset: all its clients").then_some(()));
    let warnings = server.log_text().matches("CLIENT_IP_HEADER is unset: all its clients").count();
    assert_eq!(warnings, 1, "{}", server.log_text());
    // Who comes without a proxy is not told of one.
    let (_, last) = server.connect("/ws/g/d").ended();
    assert!(!last["message"].as_str().expect("a message").contains("CLIENT_IP_HEADER"), "{last}");
    drop(held);
}

#[test]
fn a5_a_declared_proxy_and_none_are_not_warned_of() {
    for header in ["none", "X-Real-IP"] {
        let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "1"), ("CLIENT_IP_HEADER", header)]);
        let forwarded = [("X-Forwarded-For", "\u{ff}, 203.0.113.7")];
        let _held = server.connect("/ws/g/a").welcomed();
        assert_ended(server.try_connect("/ws/g/b", &forwarded).expect("accepted"), 1008, "connection_limit");
        assert!(!server.log_text().contains("a proxy is in front"), "{header}");
    }
}
