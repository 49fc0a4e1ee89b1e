//! Owns the tests of takeovers at the connection limit of an address (A5a).

use serde_json::json;

use crate::support::{Client, Server, assert_ended, token, unix_secs};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Stands for a proxy's header, so that one machine has many addresses.
const BY_HEADER: (&str, &str) = ("CLIENT_IP_HEADER", "X-Test-Address");
const ALICE: &str = "203.0.113.1";
const BOB: &str = "203.0.113.2";

fn from(server: &Server, address: &str, path: &str) -> Client {
    server.try_connect(path, &[("X-Test-Address", address)]).expect("accepted")
}

fn way_back(client: &Client) -> String {
    format!("/ws/g/alice?session={}&seq=1", client.session())
}

#[test]
fn a5a_at_the_limit_the_holder_of_the_secret_takes_its_place_and_strangers_are_closed_with_1008() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "2"), BY_HEADER]);
    let mut alice = from(&server, ALICE, "/ws/g/alice").welcomed();
    let mut other = from(&server, ALICE, "/ws/g/other").welcomed();
    assert_ended(from(&server, ALICE, "/ws/g/stranger"), 1008, "connection_limit");
    assert_ended(from(&server, ALICE, "/ws/g/stranger?session=x.y&seq=1"), 1008, "connection_limit");
    assert_ended(from(&server, ALICE, "/ws/new/alice?session=x.y&seq=1"), 1008, "connection_limit");
    let wrong = format!("/ws/g/alice?session={}x&seq=1", alice.session());
    assert_ended(from(&server, ALICE, &wrong), 1008, "connection_limit");
    for _ in 0..20 {
        let newer = from(&server, ALICE, &way_back(&alice)).welcomed();
        assert_eq!(newer.verdict(), "continuous");
        assert_eq!(alice.ended().0.code, 4000);
        alice = newer;
    }
    assert_ended(from(&server, ALICE, "/ws/g/stranger"), 1008, "connection_limit");
    server.wait_for_metric("innkeeper_connections", 2.0);
    server.wait_for_metric("innkeeper_refusals_total{reason=\"connection_limit\"}", 5.0);
    assert_eq!(server.metric("innkeeper_rooms"), 1.0, "no claim opened a room");
    other.drain();
    alice.drain();
}

#[test]
fn a5a_a_secret_takes_no_place_of_another_address_and_no_seat_that_is_away() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "2"), BY_HEADER]);
    let mut alice = from(&server, ALICE, "/ws/g/alice").welcomed();
    let _full = ["b", "c"].map(|name| from(&server, BOB, &format!("/ws/g/{name}")).welcomed());
    assert_ended(from(&server, BOB, &way_back(&alice)), 1008, "connection_limit");
    alice.drain();
    let back = way_back(&alice);
    alice.cut();
    server.wait_for_metric("innkeeper_connections", 2.0);
    assert_ended(from(&server, BOB, &back), 1008, "connection_limit");
    assert_eq!(from(&server, ALICE, &back).welcomed().verdict(), "continuous");
}

#[test]
fn a5a_twenty_reconnects_that_wait_for_nothing_never_meet_the_limit() {
    let server = Server::start(&[("MAX_CONNECTIONS_PER_IP", "1")]);
    let alice = server.connect("/ws/g/alice").welcomed();
    let back = way_back(&alice);
    // Whoever is replaced is closed with 4000, and nobody with 1008.
    let attempts: Vec<_> = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..20).map(|_| scope.spawn(|| server.connect(&back).welcomed())).collect();
        attempts.into_iter().map(|attempt| attempt.join().expect("welcomed")).collect()
    });
    assert!(attempts.iter().all(|client| client.verdict() == "continuous"));
    server.wait_for_metric("innkeeper_connections", 1.0);
}

#[test]
fn a5a_with_tokens_the_first_frame_decides_and_one_undecided_connection_is_let_in() {
    let server = Server::start(&[("JWT_SECRET", SECRET), ("MAX_CONNECTIONS_PER_IP", "2")]);
    let pass = |player: &str| token(SECRET, &json!({"sub": player, "exp": unix_secs(600)}));
    let with_token = |player: &str| format!("/ws/g/{player}?token={}", pass(player));
    let alice = server.connect(&with_token("alice")).welcomed();
    let _bob = server.connect(&with_token("bob")).welcomed();
    // A token alone takes the place, as S7 says; one of a player who is not here takes none.
    assert_ended(server.connect(&with_token("carol")), 1008, "connection_limit");
    let alice = {
        let newer = server.connect(&with_token("alice")).welcomed();
        assert_eq!({ alice }.ended().0.code, 4000);
        newer
    };
    // In the first frame.
    let mut undecided = server.connect("/ws/g/alice");
    assert_ended(server.connect("/ws/g/bob"), 1008, "connection_limit");
    undecided.send(&json!({"type": "auth", "token": pass("alice"), "session": alice.session(), "seq": 2}));
    let newest = undecided.welcomed();
    assert_eq!((newest.verdict(), { alice }.ended().0.code), ("continuous", 4000));
    // A first frame that proves nothing, and none at all.
    for frame in [json!({"type": "ping"}), json!({"type": "auth", "token": pass("bob")}), json!({"type": "send"})] {
        let mut stranger = server.connect("/ws/g/carol");
        stranger.send(&frame);
        let code = stranger.ended().0.code;
        assert!(code == 1008 || code == 4003, "{frame}: {code}");
    }
    assert_ended(server.connect("/ws/g/alice"), 1008, "connection_limit");
    server.wait_for_metric("innkeeper_connections", 2.0);
}

#[test]
fn a5a_at_a_full_server_the_holder_of_the_secret_takes_its_place() {
    let server = Server::start(&[("MAX_WS_CONNECTIONS", "2"), BY_HEADER]);
    let mut alice = from(&server, ALICE, "/ws/g/alice").welcomed();
    let _bob = from(&server, BOB, "/ws/g/bob").welcomed();
    assert_ended(from(&server, "203.0.113.3", &way_back(&alice)), 1008, "connection_limit");
    let newer = from(&server, ALICE, &way_back(&alice)).welcomed();
    assert_eq!((newer.verdict(), alice.ended().0.code), ("continuous", 4000));
}
