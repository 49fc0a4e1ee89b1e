//! Owns the tests of the limits of attempts and connections (A3, A5).

use super::{assert_refused, assert_turned_away, refusal, status_of};
use crate::support::Server;

/// Stands for a proxy's header, so that one machine has many addresses.
const BY_HEADER: (&str, &str) = ("CLIENT_IP_HEADER", "X-Test-Address");

#[test]
fn a3_attempts_past_the_rate_are_429_with_retry_after_and_each_address_has_its_own() {
    let server = Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "3"), ("RATE_LIMIT_WINDOW_MS", "60000"), BY_HEADER]);
    let (alice, bob) = ([("X-Test-Address", "203.0.113.1")], [("X-Test-Address", "203.0.113.2")]);
    // Attempts count whether they succeed or not, and plain requests are attempts too.
    assert_eq!(status_of(&server, "/ws/g/alice", &alice), 101);
    assert_eq!(status_of(&server, "/ws/g/..", &alice), 400);
    assert_eq!(server.get_with("/ws/g/alice", &alice).status, 426);
    for response in [refusal(&server, "/ws/g/alice", &alice), server.get_with("/ws/g/alice", &alice)] {
        let message = assert_refused(&response, 429, "rate_limit");
        assert!(message.contains("RATE_LIMIT_MAX_REQUESTS"), "{message}");
        let seconds: u64 = response.headers["retry-after"].parse().expect("seconds");
        assert!((1..=60).contains(&seconds), "{response:?}");
    }
    assert_eq!(server.wait_for_event("WS_CONNECTION_BLOCKED_RATE_LIMIT")["address"], "203.0.113.1");
    assert_eq!(status_of(&server, "/ws/g/bob", &bob), 101);
    server.wait_for_metric("innkeeper_refusals_total{reason=\"rate_limit\"}", 2.0);
}

#[test]
fn a3_a_new_window_lets_the_address_in_again() {
    let server = Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "1"), ("RATE_LIMIT_WINDOW_MS", "1000")]);
    server.wait_until(|| status_of(&server, "/ws/g/p", &[]) == 429, "the limit");
    server.wait_until(|| status_of(&server, "/ws/g/p", &[]) == 101, "a new window");
}

#[test]
fn a3_without_client_ip_header_nobody_names_their_own_address() {
    let server = Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "2")]);
    let headers = ["X-Forwarded-For", "X-Real-IP", "Fly-Client-IP", "Forwarded"];
    let statuses = headers.map(|name| status_of(&server, "/ws/g/p", &[(name, "203.0.113.7")]));
    assert_eq!(statuses, [101, 101, 429, 429]);
    assert_eq!(server.wait_for_event("WS_CONNECTION_BLOCKED_RATE_LIMIT")["address"], "127.0.0.1");
}

#[test]
fn a3_of_x_forwarded_for_only_the_entry_that_the_proxy_appended_counts_on_whichever_line() {
    let server = Server::start(&[("RATE_LIMIT_MAX_REQUESTS", "3"), ("CLIENT_IP_HEADER", "x-forwarded-for")]);
    const NAME: &str = "X-Forwarded-For";
    let knock = |headers: &[(&str, &str)]| status_of(&server, "/ws/g/p", headers);
    assert_eq!(knock(&[(NAME, "203.0.113.9")]), 101);
    assert_eq!(knock(&[(NAME, "198.51.100.1, 203.0.113.9")]), 101);
    assert_eq!(knock(&[(NAME, "198.51.100.2"), (NAME, "203.0.113.9")]), 101);
    assert_eq!(knock(&[(NAME, "198.51.100.3"), (NAME, "203.0.113.9")]), 429);
    assert_eq!(knock(&[(NAME, "203.0.113.9, 198.51.100.4")]), 101);
}

#[test]
fn a5_past_the_address_limit_one_is_accepted_told_and_closed_and_a_place_given_back_is_free() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "2"), BY_HEADER]);
    let from = |address, player| {
        server.try_connect(&format!("/ws/g/{player}"), &[("X-Test-Address", address)]).expect("accepted")
    };
    let a = from("203.0.113.1", "a").welcomed();
    let b = from("203.0.113.1", "b").welcomed();
    assert_turned_away(from("203.0.113.1", "c"), "MAX_CONNECTIONS_PER_IP");
    assert_eq!(server.wait_for_event("WS_CONNECTION_BLOCKED_CONNECTION_LIMIT")["address"], "203.0.113.1");
    let other = from("203.0.113.2", "d").welcomed();
    server.wait_for_metric("innkeeper_connections", 3.0);
    a.close();
    server.wait_for_metric("innkeeper_connections", 2.0);
    let e = from("203.0.113.1", "e").welcomed();
    b.cut();
    server.wait_for_metric("innkeeper_connections", 2.0);
    let f = from("203.0.113.1", "f").welcomed();
    assert_turned_away(from("203.0.113.1", "g"), "MAX_CONNECTIONS_PER_IP");
    server.wait_for_metric("innkeeper_refusals_total{reason=\"connection_limit\"}", 2.0);
    for mut client in [other, e, f] {
        client.drain();
    }
}

#[test]
fn a5_past_the_server_limit_every_address_is_turned_away_until_a_place_is_free() {
    let server = Server::start(&[("MAX_WS_CONNECTIONS", "2"), BY_HEADER]);
    let from = |address: &str| {
        server.try_connect(&format!("/ws/g/p{address}"), &[("X-Test-Address", address)]).expect("accepted")
    };
    let (a, _b) = (from("203.0.113.1").welcomed(), from("203.0.113.2").welcomed());
    assert_turned_away(from("203.0.113.3"), "MAX_WS_CONNECTIONS");
    let event = server.wait_for_event("WS_CONNECTION_BLOCKED_CONNECTION_LIMIT");
    assert_eq!(event["address"], "203.0.113.3", "{event}");
    a.close();
    server.wait_for_metric("innkeeper_connections", 1.0);
    from("203.0.113.3").welcomed();
}

#[test]
fn a5_those_who_were_turned_away_take_no_place_and_leave_none() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "1")]);
    let holder = server.connect("/ws/g/holder").welcomed();
    for _ in 0..5 {
        assert_turned_away(server.connect("/ws/g/p"), "MAX_CONNECTIONS_PER_IP");
    }
    assert_eq!(server.metric("innkeeper_connections"), 1.0);
    holder.close();
    server.wait_for_metric("innkeeper_connections", 0.0);
    let _next = server.connect("/ws/g/p").welcomed();
    assert_turned_away(server.connect("/ws/g/q"), "MAX_CONNECTIONS_PER_IP");
}
