//! Owns the tests of peers that behave badly over time: that stop reading, never finish, flood, or
//! come and go (S6, S8).

mod requests;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::{Client, PATIENCE, RawSocket, Server};

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const OUTBOX_BYTES: f64 = 65_536.0;

/// Frames as fast as a test can send them; a small outbox, and a history that keeps everything for
/// the resume.
const BUSY: &[(&str, &str)] = &[
    ("MESSAGE_RATE", "1000000"),
    ("BYTE_RATE", "1024m"),
    ("BYTE_BURST", "1024m"),
    ("MESSAGE_BURST", "1000000"),
    ("OUTBOX_BYTES", "65536"),
    ("HISTORY_BYTES", "512m"),
    ("HISTORY_EVENTS", "1000000"),
];

/// A connection whose kernel keeps little for it, so that the server soon notices when it stops
/// reading.
fn small_window(server: &Server) -> RawSocket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], server.port)).into()).expect("the server accepts");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    RawSocket(stream)
}

/// Dropping it sends a reset instead of a FIN.
fn reset_on_drop(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("linger");
}

fn text(frame: &Value) -> Vec<u8> {
    RawSocket::frame(TEXT, frame.to_string().as_bytes())
}

/// Whether the log says that this player's connection has ended.
fn has_ended(server: &Server, player: &str) -> bool {
    let end = format!(r#""player":"{player}""#);
    server.log_text().lines().any(|line| line.contains("WS_CONNECTION_CLOSED") && line.contains(&end))
}

/// One message of `bytes` bytes from `sender`, received by both.
fn relay(sender: &mut Client, other: &mut Client, id: u64, bytes: usize) {
    sender.send(&json!({"type": "send", "id": id, "data": "x".repeat(bytes)}));
    for client in [sender, other] {
        let message = client.until_type("message");
        assert_eq!(message["id"], id, "everything, once and in order");
    }
}

fn wait_for_sockets(server: &Server, count: usize) {
    server.wait_until(|| server.open_sockets() <= count, &format!("{count} open sockets"));
}

fn is_unharmed(server: &mut Server) {
    assert!(server.is_alive());
    let mut visitor = server.connect("/ws/another/visitor").welcomed();
    visitor.send(&json!({"type": "send", "id": 1, "data": 1}));
    assert_eq!(visitor.until_type("message")["id"], 1);
    visitor.close();
    assert_eq!(server.metric("innkeeper_room_restarts_total"), 0.0);
}

// ---- peers that do not read

#[test]
fn s6_a_peer_that_stops_reading_is_closed_with_4008_and_resumes_with_nothing_lost() {
    let mut server = Server::start(BUSY);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut slow = small_window(&server).upgrade("/ws/g/slow");
    let welcome = slow.until_type("welcome");
    let before = server.resident_bytes();

    let mut sent = 0;
    while !has_ended(&server, "slow") {
        assert!(sent < 100_000, "the slow peer was never closed");
        for _ in 0..10 {
            sent += 1;
            relay(&mut alice, &mut bob, sent, 4096);
        }
    }
    // Its last frame is whole and the close frame follows it, for a peer that comes to its senses.
    assert_eq!(slow.close_code(), 4008);
    let end = server.wait_for_end_of("slow");
    assert_eq!((&end["cause"], &end["code"]), (&json!("too_slow"), &json!(4008)));
    server.wait_for_metric("innkeeper_outbox_bytes", 0.0);
    assert_eq!(server.metric(r#"innkeeper_disconnects_total{cause="too_slow"}"#), 1.0);
    // The history holds every message; nothing else may have grown much.
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < sent * 4096 * 2 + (8 << 20), "grew by {grown} bytes over {sent} messages");

    let (session, seq) = (welcome["session"].as_str().expect("a session"), &welcome["seq"]);
    let mut slow = server.connect(&format!("/ws/g/slow?session={session}&seq={seq}")).welcomed();
    assert_eq!(slow.welcome["resume"], "continuous");
    for id in 1..=sent {
        assert_eq!(slow.until_type("message")["id"], id);
    }
    relay(&mut alice, &mut bob, sent + 1, 10);
    assert_eq!(slow.until_type("message")["id"], sent + 1);
    is_unharmed(&mut server);
}

#[test]
fn s6_a_peer_that_never_reads_again_is_dropped_with_all_it_held() {
    let mut server = Server::start(BUSY);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let sockets = server.open_sockets();
    let mut slow = small_window(&server).upgrade("/ws/g/slow");
    slow.until_type("welcome");
    let mut sent = 0;
    while !has_ended(&server, "slow") {
        assert!(sent < 100_000, "the slow peer was never closed");
        sent += 1;
        relay(&mut alice, &mut bob, sent, 4096);
    }
    // It neither reads nor closes: the linger time ends it.
    wait_for_sockets(&server, sockets);
    server.wait_for_metric("innkeeper_outbox_bytes", 0.0);
    server.wait_for_metric("innkeeper_outbox_frames", 0.0);
    server.wait_for_metric("innkeeper_connections", 2.0);
    let carol = server.connect("/ws/g/carol").welcomed();
    assert_eq!(carol.welcome["players"]["slow"], "away");
    is_unharmed(&mut server);
    drop(slow);
}

#[test]
fn s6_a_ping_flood_from_a_peer_that_reads_no_pongs_ends_it_and_costs_no_memory() {
    let mut server = Server::start(BUSY);
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut flooder = small_window(&server).upgrade("/ws/g/flooder");
    flooder.until_type("welcome");
    let before = server.resident_bytes();
    let pings = RawSocket::frame(PING, &[7; 125]).repeat(100);
    let start = Instant::now();
    while !has_ended(&server, "flooder") && flooder.try_write(&pings) {
        assert!(start.elapsed() < PATIENCE, "the flooder was never closed");
    }
    let end = server.wait_for_end_of("flooder");
    assert_eq!((&end["cause"], &end["code"]), (&json!("too_slow"), &json!(4008)));
    assert_eq!(flooder.close_code(), 4008);
    server.wait_for_metric("innkeeper_outbox_bytes", 0.0);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "grew by {grown} bytes");
    assert!(bob.drain().iter().all(|frame| frame["type"] == "presence"));
    is_unharmed(&mut server);
}

#[test]
fn s8_distinct_volatile_names_neither_close_a_peer_that_does_not_read_nor_fill_the_memory() {
    let mut server = Server::start(BUSY);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut slow = small_window(&server).upgrade("/ws/g/slow");
    slow.until_type("welcome");
    let before = server.resident_bytes();
    let rounds: u64 = 200;
    for round in 0..rounds {
        for name in 0..50 {
            let name = format!("{round}-{name}");
            alice.send(&json!({"type": "send", "volatile": name, "data": "x".repeat(4096)}));
        }
        alice.drain();
        bob.drain();
    }
    // Shards publish what they counted once a second, all of it at once.
    let events = rounds * 50;
    server.wait_until(|| server.metric("innkeeper_events_in_total") >= events as f64, "every value counted");
    let queued = server.metric("innkeeper_outbox_bytes");
    assert!(queued > 0.0 && queued < 2.0 * OUTBOX_BYTES + 8192.0, "{queued} bytes are queued");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
    assert!(!has_ended(&server, "slow"));

    // It reads on: the newest value is among what it gets, and it is still a member.
    let newest = format!("{}-49", rounds - 1);
    while slow.until_type("message")["volatile"] != newest.as_str() {}
    slow.write(&text(&json!({"type": "ping", "nonce": 1})));
    assert_eq!(slow.until_type("pong")["nonce"], 1);
    server.wait_for_metric("innkeeper_outbox_bytes", 0.0);
    is_unharmed(&mut server);
}

// ---- peers that ignore the end

#[test]
fn a_client_that_ignores_the_close_frame_is_dropped_whether_it_is_silent_or_sends_on() {
    let mut server = Server::start(&[]);
    let sockets = server.open_sockets();
    let mut silent = server.raw().upgrade("/ws/g/silent");
    let mut talker = server.raw().upgrade("/ws/g/talker");
    for socket in [&mut silent, &mut talker] {
        socket.write(&RawSocket::frame(TEXT | 0x40, b""));
        assert_eq!(socket.close_code(), 1002);
        assert_eq!(socket.next_frame(), None, "our side is shut");
    }
    let start = Instant::now();
    while talker.try_write(&RawSocket::frame(PING, b"hello?")) {
        assert!(start.elapsed() < PATIENCE, "the server still takes what comes behind its close frame");
        thread::sleep(Duration::from_millis(5));
    }
    wait_for_sockets(&server, sockets);
    is_unharmed(&mut server);
    drop(silent);
}

// ---- requests that never finish

#[test]
fn r4_a_reset_in_the_middle_of_a_frame_is_a_lost_connection_and_nothing_more() {
    let mut server = Server::start(&[]);
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let sockets = server.open_sockets();
    let frame = text(&json!({"type": "send", "data": "x".repeat(1000)}));
    for (number, cut) in [1, 3, 5, 8, 500, frame.len() - 1].into_iter().enumerate() {
        let name = format!("cut-{number}");
        let mut socket = server.raw().upgrade(&format!("/ws/g/{name}"));
        socket.until_type("welcome");
        socket.write(&frame[..cut]);
        reset_on_drop(&socket.0);
        drop(socket);
        let end = server.wait_for_end_of(&name);
        assert_eq!((&end["cause"], &end["code"]), (&json!("connection_lost"), &json!(1006)), "{end}");
        bob.until(|frame| frame["player"] == name.as_str() && frame["status"] == "away");
    }
    // In the middle of the handshake, and between it and the welcome.
    for part in [
        "GET /ws/g/eve HTT",
        "GET /ws/g/eve HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    ] {
        let mut socket = server.raw();
        socket.write(part.as_bytes());
        reset_on_drop(&socket.0);
    }
    wait_for_sockets(&server, sockets);
    assert!(bob.drain().iter().all(|frame| frame["type"] == "presence"));
    is_unharmed(&mut server);
}

/// Joins and goes again, in one of the ways there are.
fn come_and_go(server: &Server, number: usize) {
    let mut socket = server.raw().upgrade(&format!("/ws/game-{}/player-{number}", number % 500));
    if number.is_multiple_of(2) {
        socket.until_type("welcome");
    }
    match number % 5 {
        0 => socket.write(&text(&json!({"type": "leave"}))),
        1 => socket.write(&RawSocket::frame(CLOSE, &1000_u16.to_be_bytes())),
        2 => {}
        3 => socket.write(&text(&json!({"type": "send", "data": number}))),
        _ => socket.write(&RawSocket::header(TEXT, 1 << 40)),
    }
    // The tests' own machine would run out of ports if every one of them waited out its TIME_WAIT.
    reset_on_drop(&socket.0);
}

fn come_and_go_often(server: &Server, times: usize) {
    const THREADS: usize = 4;
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || (thread..times).step_by(THREADS).for_each(|number| come_and_go(server, number)));
        }
    });
    for gauge in ["connections", "sessions", "rooms", "addresses", "outbox_bytes", "outbox_frames"] {
        server.wait_for_metric(&format!("innkeeper_{gauge}"), 0.0);
    }
}

#[test]
fn r6_after_10_000_connects_and_disconnects_the_server_is_as_it_was() {
    let mut server = Server::start(&[("ROOM_LINGER", "0.05"), ("RECONNECT_GRACE", "0.05")]);
    let sockets = server.open_sockets();
    // What is allocated once, by any traffic, is no leak.
    come_and_go_often(&server, 1000);
    let before = server.resident_bytes();
    come_and_go_often(&server, 10_000);
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "grew by {grown} bytes");
    wait_for_sockets(&server, sockets);
    assert_eq!(server.metric("innkeeper_connections_total"), 11_000.0);
    is_unharmed(&mut server);
}

#[test]
fn r6_a_thousand_rooms_that_are_left_are_disposed_of() {
    let mut server = Server::start(&[("ROOM_LINGER", "0.05")]);
    let mut clients: Vec<_> = (0..1000).map(|room| server.connect(&format!("/ws/room-{room}/alice"))).collect();
    server.wait_for_metric("innkeeper_rooms", 1000.0);
    for client in &mut clients {
        client.send(&json!({"type": "leave"}));
    }
    for client in &mut clients {
        assert_eq!(client.ended().0.code, 1000);
    }
    server.wait_for_metric("innkeeper_rooms", 0.0);
    server.wait_for_metric("innkeeper_sessions", 0.0);
    let mut again = server.connect("/ws/room-7/alice").welcomed();
    assert_eq!((&again.welcome["resume"], &again.welcome["seq"]), (&json!("new"), &json!(1)));
    again.drain();
    is_unharmed(&mut server);
}

#[test]
fn a5_a_peer_that_floods_refused_connections_gets_its_1008_each_time_and_leaks_nothing() {
    let mut server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "1")]);
    let holder = server.connect("/ws/g/holder").welcomed();
    let sockets = server.open_sockets();
    for number in 0..300 {
        let mut socket = server.raw().upgrade(&format!("/ws/g/refused-{number}"));
        assert_eq!(socket.close_code(), 1008);
        let mut rest = Vec::new();
        assert!(socket.0.read_to_end(&mut rest).is_ok() && rest.is_empty());
    }
    wait_for_sockets(&server, sockets);
    server.wait_for_metric("innkeeper_connections", 1.0);
    holder.close();
    server.wait_for_metric("innkeeper_connections", 0.0);
    is_unharmed(&mut server);
}
