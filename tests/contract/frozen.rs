//! Owns the tests of a process that was stopped for a while: it reads its sockets before it ends
//! any grace (R7).

use std::{thread::sleep, time::Duration};

use serde_json::json;

use crate::support::{Server, token, unix_secs};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Runs `meanwhile` while the server is stopped, which is for longer than any of these tests' time
/// limits. There is no event to wait for in a process that does not run.
fn frozen<T>(server: &Server, meanwhile: impl FnOnce() -> T) -> T {
    server.signal("STOP");
    let result = meanwhile();
    sleep(Duration::from_secs(3));
    server.signal("CONT");
    result
}

#[test]
fn r7_who_came_back_while_the_process_was_stopped_keeps_its_seat() {
    let server = Server::start(&[("RECONNECT_GRACE", "1")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let seats = ["bob", "carol", "dave"].map(|name| server.connect(&format!("/ws/g/{name}")).welcomed().cut());
    (0..3).for_each(|_| drop(alice.until(|frame| frame["status"] == "away")));
    let back: Vec<_> = std::thread::scope(|scope| {
        let server = &server;
        let resumes = frozen(server, || seats.each_ref().map(|seat| scope.spawn(|| server.resume(seat))));
        resumes.into_iter().map(|resume| resume.join().expect("welcomed")).collect()
    });
    assert!(back.iter().all(|client| client.verdict() == "continuous"));
    let seen = alice.drain();
    assert!(seen.len() == 3 && seen.iter().all(|frame| frame["status"] == "back"), "{seen:?}");
}

#[test]
fn r7_a_grace_that_nobody_used_ends_all_the_same() {
    let server = Server::start(&[("RECONNECT_GRACE", "1")]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    server.connect("/ws/g/bob").welcomed().cut();
    alice.until(|frame| frame["status"] == "away");
    frozen(&server, || ());
    assert_eq!(alice.until(|frame| frame["status"] == "left")["reason"], "timeout");
}

#[test]
fn r7_a_pong_that_waits_in_the_socket_is_heard_before_the_heartbeat_ends() {
    let server = Server::start(&[("WS_PING_INTERVAL", "1"), ("WS_PING_TIMEOUT", "1")]);
    let mut clients: Vec<_> = (0..20).map(|i| server.connect(&format!("/ws/g/p{i}")).welcomed()).collect();
    while clients[0].next_of_any_kind().expect("a frame")["type"] != "ping" {}
    frozen(&server, || clients.iter_mut().for_each(|client| client.send(&json!({"type": "pong"}))));
    for client in &mut clients {
        client.drain();
    }
}

#[test]
fn r7_a_token_that_waits_in_the_socket_is_in_time() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("AUTH_TIMEOUT_MS", "1000")]);
    let pass = token(SECRET, &json!({"sub": "alice", "exp": unix_secs(600)}));
    let mut alice = server.connect("/ws/g/alice");
    frozen(&server, || alice.send(&json!({"type": "auth", "token": pass})));
    alice.welcomed();
}
