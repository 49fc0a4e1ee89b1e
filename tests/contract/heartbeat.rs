//! Owns the tests of the heartbeat: which clients are pinged, what counts as an answer, and the
//! close after silence (B1, B2).

use std::{
    io::Read as _,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::support::{RawSocket, Server};
use serde_json::{Value, json};
use tungstenite::Message;

/// The next server frame of a raw socket: its first byte and its payload.
fn read_frame(socket: &mut RawSocket) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    socket.0.read_exact(&mut head).expect("a frame");
    let length = match head[1] {
        126 => {
            let mut extended = [0; 2];
            socket.0.read_exact(&mut extended).expect("a length");
            usize::from(u16::from_be_bytes(extended))
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    socket.0.read_exact(&mut payload).expect("a payload");
    (head[0], payload)
}

#[test]
fn b1_each_interval_brings_a_websocket_ping_and_a_ping_frame() {
    let server = Server::start(&[("WS_PING_INTERVAL", "0.05"), ("WS_PING_TIMEOUT", "20")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    assert_eq!(alice.welcome["heartbeat"], json!({"interval_ms": 50, "timeout_ms": 20000}));
    for _ in 0..5 {
        assert!(matches!(alice.next_message(), Message::Ping(_)));
        let Message::Text(text) = alice.next_message() else { panic!("a ping frame follows") };
        let ping: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(ping["type"], "ping");
        assert!(ping["time"].as_u64().is_some_and(|time| time > 1_600_000_000_000), "{ping}");
    }
}

#[test]
fn b1_any_frame_of_any_kind_counts_as_life() {
    // Each answers nine pings with nothing but its own kind of frame: longer than the timeout, in
    // which a slow machine answers one all the same. A tenth frame that is no JSON would end the
    // connection (P2).
    let server = Server::start(&[("WS_PING_INTERVAL", "0.5"), ("WS_PING_TIMEOUT", "3.5")]);
    let kinds: [(&str, u8, &[u8]); 8] = [
        ("pong-frame", 0x81, br#"{"type":"pong"}"#),
        ("ping-frame", 0x81, br#"{"type":"ping"}"#),
        ("send", 0x81, br#"{"type":"send","data":1}"#),
        ("malformed", 0x81, b"{"),
        ("binary", 0x82, b"\x00"),
        ("websocket-pong", 0x8a, b""),
        ("unasked-pong", 0x8a, b"unasked"),
        ("websocket-ping", 0x89, b"hello"),
    ];
    std::thread::scope(|scope| {
        for (name, first, payload) in kinds {
            let server = &server;
            scope.spawn(move || {
                let mut socket = server.raw().upgrade(&format!("/ws/{name}/alice"));
                for _ in 0..9 {
                    while !read_frame(&mut socket).1.starts_with(br#"{"type":"ping""#) {}
                    socket.write(&RawSocket::frame(first, payload));
                }
                socket.write(&RawSocket::frame(0x81, br#"{"type":"ping","nonce":"the end"}"#));
                while !String::from_utf8_lossy(&read_frame(&mut socket).1).contains("the end") {}
            });
        }
    });
}

#[test]
fn b1_silence_after_a_ping_closes_with_4009_and_the_player_is_away() {
    let server = Server::start(&[("WS_PING_INTERVAL", "0.1"), ("WS_PING_TIMEOUT", "1.5")]);
    let mut silent = server.raw().upgrade("/ws/g/silent");
    assert_eq!(silent.close_code(), 4009);
    let closed = server.wait_for_event("WS_CONNECTION_CLOSED");
    assert_eq!((&closed["cause"], &closed["player"]), (&json!("heartbeat_timeout"), &json!("silent")));
    let alice = server.connect("/ws/g/alice").welcomed();
    assert_eq!(alice.welcome["players"]["silent"], "away");
}

/// A peer that stops reading, its window full, while others keep the room busy with `frame`.
fn a_stalled_peer_is_detected(outbox_bytes: &str, frame: &Value) -> Value {
    let server = Server::start(&[
        ("WS_PING_INTERVAL", "0.3"),
        ("WS_PING_TIMEOUT", "3"),
        ("OUTBOX_BYTES", outbox_bytes),
        ("MESSAGE_RATE", "1000000"),
        ("BYTE_RATE", "1024m"),
        ("BYTE_BURST", "1024m"),
        ("MESSAGE_BURST", "1000000"),
    ]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let stalled = server.raw().upgrade("/ws/g/stalled");
    socket2::SockRef::from(&stalled.0).set_recv_buffer_size(4096).expect("a smaller buffer");
    let away = AtomicBool::new(false);
    while !away.load(Ordering::Relaxed) {
        alice.send(frame);
        alice.until(|seen| {
            away.fetch_or(seen["status"] == "away", Ordering::Relaxed);
            seen["type"] == "message"
        });
    }
    let closed = server.wait_for_event("WS_CONNECTION_CLOSED");
    assert_eq!(closed["player"], "stalled");
    assert!(alice.drain().len() < 2, "the room goes on");
    drop(stalled);
    closed["cause"].clone()
}

#[test]
fn b2_a_peer_that_stops_reading_in_a_busy_room_is_detected_though_not_a_byte_can_be_written() {
    let frame = json!({"type": "send", "data": "x".repeat(8192)});
    let cause = a_stalled_peer_is_detected("256m", &frame);
    // The kernel's TCP_USER_TIMEOUT has the same bound and may notice first.
    assert!(cause == "heartbeat_timeout" || cause == "connection_lost", "{cause}");
}

#[test]
fn b2_volatile_traffic_does_not_hide_a_stalled_peer() {
    let frame = json!({"type": "send", "volatile": "v", "data": "x".repeat(8192)});
    let cause = a_stalled_peer_is_detected("128k", &frame);
    assert!(cause == "heartbeat_timeout" || cause == "connection_lost", "{cause}");
}
