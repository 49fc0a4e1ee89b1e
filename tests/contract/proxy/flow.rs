//! Owns the tests of backpressure through a proxy (X2): a slow side slows the other, within bounded
//! memory, and no more.

use std::time::{Duration, Instant};

use tungstenite::Message;

use super::{Peer, Upstream, fake::Leg, serve, serve_described};
use crate::support::{PATIENCE, Server};

const CHUNK: usize = 100_000;
/// What two sockets, their kernels and this server may hold of one direction.
const BOUND: usize = 64 << 20;

/// Sends numbered chunks until the other side takes no more for half a second; how many went out.
fn flood(send: impl Fn(Message) -> bool) -> u32 {
    let mut sent = 0;
    loop {
        let mut chunk = vec![0; CHUNK];
        chunk[..4].copy_from_slice(&u32::to_be_bytes(sent));
        if !send(Message::binary(chunk)) {
            return sent;
        }
        sent += 1;
        assert!((sent as usize) * CHUNK < BOUND, "there is no end to what is taken");
    }
}

fn number(message: &Message) -> u32 {
    match message {
        Message::Binary(chunk) if chunk.len() == CHUNK => u32::from_be_bytes(*chunk.first_chunk().expect("a number")),
        other => panic!("not a chunk: {} bytes", other.len()),
    }
}

fn set_stall(socket: &std::net::TcpStream) {
    socket.set_write_timeout(Some(Duration::from_millis(500))).expect("timeout");
}

/// The server with a small bound and a quick heartbeat.
fn serve_small(upstream: &Upstream) -> (Server, tempfile::NamedTempFile) {
    let more = [
        ("OUTBOX_BYTES", "256k"),
        ("WS_PING_INTERVAL", "0.3"),
        ("WS_PING_TIMEOUT", "2"),
        ("MESSAGE_RATE", "100000"),
        ("MESSAGE_BURST", "100000"),
        ("BYTE_RATE", "1024m"),
        ("BYTE_BURST", "1024m"),
    ];
    serve_described(upstream, &["max_client_message_bytes: 200k", "resume_ms: 0"], &more)
}

#[test]
fn x2_frames_before_the_upstream_is_open_are_queued_and_come_in_order() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let mut client = Peer::connect(&server, "/proxy/openai");
    for i in 0..100 {
        client.send(&i.to_string());
    }
    let mut leg = upstream.leg();
    for i in 0..100 {
        assert_eq!(leg.text(), i.to_string());
    }
}

#[test]
fn x2_an_upstream_that_does_not_read_stops_its_client_and_its_heartbeat_does_not_kill_it() {
    let upstream = Upstream::start();
    let (server, _file) = serve_small(&upstream);
    let client = Peer::connect(&server, "/proxy/test");
    let mut leg = upstream.leg();
    let before = server.resident_bytes();
    set_stall(client.socket.get_ref());
    let socket = std::cell::RefCell::new(client.socket);
    let sent = flood(|chunk| socket.borrow_mut().send(chunk).is_ok());
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for a bound of 256 KiB");

    // Longer than the heartbeat allows, the client's pongs are not read. The other direction works
    // all the while.
    let client = std::thread::spawn(move || {
        let mut socket = socket.into_inner();
        // Each read tries to write what is left first.
        socket.get_ref().set_write_timeout(Some(Duration::from_millis(1))).expect("timeout");
        let mut heard = 0;
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    assert_eq!(text.as_str(), heard.to_string());
                    heard += 1;
                    if heard == 10 {
                        break;
                    }
                }
                Ok(Message::Close(close)) => panic!("closed: {close:?}"),
                Ok(_) => {}
                // Its pongs do not go out either.
                Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        (socket, heard)
    });
    for i in 0..10 {
        leg.send(&i.to_string());
        std::thread::sleep(Duration::from_millis(500));
    }
    let (mut socket, heard) = client.join().expect("the client lives");
    assert_eq!(heard, 10);

    // The upstream reads again: everything is there, in order, and the client may go on.
    for expected in 0..sent {
        assert_eq!(number(&leg.message()), expected);
    }
    // The chunk that was cut off by the stall is finished first.
    while socket.flush().is_err() {}
    assert_eq!(number(&leg.message()), sent);
    socket.send(Message::text("on")).expect("sent");
    assert_eq!(leg.text(), "on");
}

#[test]
fn x2_a_client_that_does_not_read_stops_its_upstream_and_is_not_closed_for_it() {
    let upstream = Upstream::start();
    let more = [("OUTBOX_BYTES", "256k"), ("LOG_LEVEL", "debug")];
    let (server, _file) = serve_described(&upstream, &["resume_bytes: 64k"], &more);
    let mut client = Peer::enter(&server, "/proxy/test");
    let Leg { socket, .. } = upstream.leg();
    let before = server.resident_bytes();
    set_stall(socket.get_ref());
    let socket = std::cell::RefCell::new(socket);
    let sent = flood(|chunk| socket.borrow_mut().send(chunk).is_ok());
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for a bound of 256 KiB");
    // The client is heard all the while.
    let mut socket = socket.into_inner();
    client.send("still here");
    assert_eq!(socket.read().expect("a message"), Message::text("still here"));
    let writer = std::thread::spawn(move || {
        while socket.flush().is_err() {}
        socket.send(Message::text("on")).expect("sent");
    });
    for expected in 0..=sent {
        assert_eq!(number(&client.message()), expected);
    }
    assert_eq!(client.text(), "on");
    writer.join().expect("written");
}

#[test]
fn x2_an_upstream_that_echoes_and_a_client_that_reads_late_do_not_lock_each_other() {
    let upstream = Upstream::start();
    let more = [("OUTBOX_BYTES", "256k"), ("MESSAGE_RATE", "100000"), ("BYTE_RATE", "1024m")];
    let (server, _file) = serve_described(&upstream, &["max_client_message_bytes: 200k", "resume_ms: 0"], &more);
    let client = Peer::connect(&server, "/proxy/test");
    upstream.echo();
    set_stall(client.socket.get_ref());
    let socket = std::cell::RefCell::new(client.socket);
    // Both directions fill up, until nothing moves.
    let sent = flood(|chunk| socket.borrow_mut().send(chunk).is_ok());
    let mut socket = socket.into_inner();
    socket.get_ref().set_write_timeout(Some(Duration::from_millis(1))).expect("timeout");
    let mut expected = 0;
    while expected <= sent {
        match socket.read() {
            Ok(message @ Message::Binary(_)) => {
                assert_eq!(number(&message), expected);
                expected += 1;
            }
            Ok(Message::Close(close)) => panic!("closed after {expected} of {sent}: {close:?}"),
            Ok(_) => {}
            // What is left of the cut chunk goes out whenever there is room.
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        let _ = socket.flush();
    }
}

#[test]
fn b2_a_client_that_reads_nothing_and_answers_nothing_is_found_dead_by_its_heartbeat() {
    let upstream = Upstream::start();
    let (server, _file) = serve_small(&upstream);
    let client = Peer::connect(&server, "/proxy/test");
    let mut leg = upstream.leg();
    set_stall(leg.socket.get_ref());
    // Frozen: it reads nothing and sends nothing, and its socket stays open.
    while leg.socket.send(Message::binary(vec![0; CHUNK])).is_ok() {}
    let closed = server.wait_for_event("WS_CONNECTION_CLOSED");
    assert!(["heartbeat_timeout", "connection_lost"].contains(&closed["cause"].as_str().expect("a cause")), "{closed}");
    drop(client);
    server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"test\"}", 0.0);
}
