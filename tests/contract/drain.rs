//! Owns the tests of SIGTERM and SIGINT (D4, close 1012).

use std::{
    collections::{BTreeSet, VecDeque},
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use serde_json::json;

use crate::support::{Client, PATIENCE, RawSocket, Server};

/// Every client is told and closed; its slot is returned.
fn assert_sent_away(client: &mut Client) -> u64 {
    let (ended, last) = client.ended();
    assert_eq!((&last["type"], &last["code"]), (&json!("going_away"), &json!(1012)), "{last} {ended:?}");
    assert_eq!(ended.code, 1012);
    last["reconnect_after_ms"].as_u64().expect("a slot")
}

/// A server that drains until `let_go`: its store fails, and it has something to store, from a
/// player on this path.
pub fn held_in_its_drain(path: &str, settings: &[(&str, &str)]) -> Server {
    let server = Server::start_example("faulty_store", &[settings, &[("DRAIN_TIMEOUT", "600")]].concat());
    let mut player = server.connect(path).welcomed();
    server.break_store();
    player.send(&json!({"type": "send", "data": "what the drain waits for"}));
    server.wait_for_metric("innkeeper_store_failing", 1.0);
    server.signal("TERM");
    assert_sent_away(&mut player);
    server
}

/// The store works again: the drain ends, and the process as it should.
pub fn let_go(server: &mut Server) {
    server.mend_store();
    assert!(server.wait().success());
}

#[test]
fn d4_every_client_gets_a_slot_of_its_own_and_close_1012_and_the_exit_code_is_0() {
    for signal in ["TERM", "INT"] {
        // Uneven: most rooms may live on one shard, one room on another.
        let mut server = Server::start(&[("DRAIN_SPREAD_MS", "1000"), ("SHARDS", "3")]);
        let mut clients: Vec<_> = (0..30)
            .map(|n| {
                let game = if n < 20 { "full".to_owned() } else { format!("g{n}") };
                server.connect(&format!("/ws/{game}/p{n}")).welcomed()
            })
            .collect();
        clients.push(server.connect("/ws/full/watcher?spectate=1").welcomed());
        server.signal(signal);
        let slots: BTreeSet<u64> = clients.iter_mut().map(assert_sent_away).collect();
        assert_eq!(slots.len(), clients.len(), "each its own: {slots:?}");
        assert!(slots.iter().all(|slot| *slot < 1000), "within DRAIN_SPREAD_MS: {slots:?}");
        assert_eq!(slots.first(), Some(&0));
        assert!(slots.last() >= Some(&900), "spread over the whole window: {slots:?}");
        drop(clients);
        assert_eq!(server.wait().code(), Some(0));
        let line = server.wait_for_log(|line| line["message"] == "draining");
        assert_eq!(line["signal"], format!("SIG{signal}"), "{line}");
        assert_eq!(server.wait_for_log(|line| line["message"] == "stopped")["drained"], true);
        assert_eq!(server.log_text().matches("\"cause\":\"draining\"").count(), 31);
    }
}

#[test]
fn d4_a_client_that_is_not_authenticated_yet_is_told_as_well() {
    let mut server = Server::start(&[("JWT_SECRET", "0123456789abcdef0123456789abcdef")]);
    let mut client = server.connect("/ws/g/p");
    client.drain();
    server.signal("TERM");
    assert_sent_away(&mut client);
    drop(client);
    assert!(server.wait().success());
}

#[test]
fn d4_what_was_sent_before_the_signal_arrives_before_the_farewell() {
    let mut server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    for id in 1..=100 {
        alice.send(&json!({"type": "send", "id": id, "data": id}));
    }
    alice.until(|frame| frame["id"] == 100);
    server.signal("TERM");
    let ids: Vec<_> = (1..=100).map(|_| bob.until_type("message")["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    assert_sent_away(&mut bob);
    assert_sent_away(&mut alice);
    drop((alice, bob));
    assert!(server.wait().success());
}

#[test]
fn d4_ready_is_503_while_draining_and_health_is_not() {
    let mut server = held_in_its_drain("/ws/g/alice", &[]);
    let ready = server.get("/ready");
    assert_eq!((ready.status, ready.json()), (503, json!({"status": "draining"})));
    assert_eq!(server.get("/health").status, 200, "a platform must not kill what is draining");
    let_go(&mut server);
}

/// A client whose socket takes nothing more, in a room that has a lot for it.
fn never_reads(server: &Server) -> RawSocket {
    let stalled = server.raw().upgrade("/ws/g/stalled");
    let mut talker = server.connect("/ws/g/talker").welcomed();
    let data = "x".repeat(60_000);
    // More than both kernels hold for one socket; several at a time, each of which would wait for
    // the disk otherwise.
    for _ in 0..15 {
        (0..20).for_each(|_| talker.send(&json!({"type": "send", "data": data})));
        (0..20).for_each(|_| drop(talker.until_type("message")));
    }
    server.wait_until(|| server.metric("innkeeper_outbox_bytes") > 0.0, "a backlog");
    stalled
}

#[test]
fn d4_a_client_that_never_reads_does_not_hold_the_exit() {
    let mut server = Server::start(&[
        ("DRAIN_TIMEOUT", "600"),
        ("OUTBOX_BYTES", "64m"),
        ("MESSAGE_BURST", "10000"),
        ("BYTE_BURST", "1024m"),
    ]);
    let stalled = never_reads(&server);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0), "long before the drain's end");
    assert_eq!(server.wait_for_log(|line| line["message"] == "stopped")["drained"], true);
    drop(stalled);
}

#[test]
fn d4_past_drain_timeout_it_exits_with_0_all_the_same() {
    let mut server = Server::start(&[
        ("DRAIN_TIMEOUT", "0.1"),
        ("OUTBOX_BYTES", "64m"),
        ("MESSAGE_BURST", "10000"),
        ("BYTE_BURST", "1024m"),
    ]);
    let stalled = never_reads(&server);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(server.wait_for_log(|line| line["message"] == "stopped")["drained"], false);
    drop(stalled);
}

#[test]
fn d4_whoever_was_let_in_around_the_signal_is_told_to_come_back_and_never_just_cut() {
    let mut server = Server::start(&[]);
    let port = server.port;
    let knockers: Vec<_> = (0..4)
        .map(|thread| {
            thread::spawn(move || {
                let mut inside = VecDeque::new();
                let paths = (0..).map(|n| format!("/ws/g{n}/p{thread}"));
                for socket in paths.map_while(|path| knock(port, &path)) {
                    inside.push_back(socket);
                    if inside.len() > 100 {
                        inside.pop_front();
                    }
                }
                inside.iter_mut().map(RawSocket::close_code).collect::<Vec<_>>()
            })
        })
        .collect();
    server.wait_until(|| server.metric("innkeeper_connections_total") > 50.0, "a crowd");
    server.signal("TERM");
    let codes: Vec<u16> = knockers.into_iter().flat_map(|knocker| knocker.join().expect("a list")).collect();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == 1012), "{codes:?}");
    assert!(server.wait().success());
}

/// Somebody who was let in; `None` when refused with 503 or when the process is gone.
fn knock(port: u16, path: &str) -> Option<RawSocket> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    head.starts_with(b"HTTP/1.1 101").then_some(RawSocket(stream))
}
