//! Owns the tests of how proxy sessions end (X4): each side gets the other's close code.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tungstenite::{Message, protocol::CloseFrame};

use super::{
    Peer, Upstream,
    fake::{Leg, RETRY_LATER},
    serve, serve_described,
};
use crate::support::Server;

/// X4.
const BOUND: Duration = Duration::from_secs(2);
/// What a slow machine may be late. Any other bound that could end a session in these tests is 10 s
/// or more.
const SLACK: Duration = Duration::from_secs(5);

/// How the upstream ended, and that it did within X4's 2 s of `since`.
fn ended_in_time(leg: &mut Leg, since: Instant) -> Option<(u16, String)> {
    let ended = leg.ended();
    let took = since.elapsed();
    assert!(took < BOUND + SLACK, "the upstream was closed after {took:?}");
    ended
}

#[test]
fn x4_an_upstreams_close_reaches_the_client_with_code_and_reason_behind_its_last_frame() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    for (code, reason) in [(1000, "done"), (1001, ""), (1008, "policy"), (1013, "later"), (4999, "own")] {
        let mut client = Peer::enter(&server, "/proxy/openai");
        let mut leg = upstream.leg();
        leg.send("last");
        leg.close(code, reason);
        assert_eq!(client.ended(), (code, reason.to_owned(), "last".to_owned()));
        assert_eq!(leg.ended(), Some((code, reason.to_owned())), "the upstream's close frame is answered");
    }
}

#[test]
fn x4_a_close_without_a_code_and_a_lost_upstream_become_1011() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let mut client = Peer::enter(&server, "/proxy/openai");
    upstream.leg().socket.close(None).expect("closed");
    assert_eq!(client.ended().0, 1011);

    let mut client = Peer::enter(&server, "/proxy/openai");
    let mut leg = upstream.leg();
    leg.send("last");
    leg.socket.get_ref().shutdown(Shutdown::Both).expect("cut");
    let (code, _, last) = client.ended();
    assert_eq!((code, last.as_str()), (1011, "last"));
}

#[test]
fn x4_a_close_code_that_must_not_be_sent_becomes_1011() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        let mut client = Peer::enter(&server, "/proxy/openai");
        let mut leg = upstream.leg();
        let [high, low] = code.to_be_bytes();
        leg.socket.get_mut().write_all(&[0x88, 3, high, low, b'x']).expect("sent");
        assert_eq!(client.ended().0, 1011, "{code}");
    }
}

#[test]
fn x4_what_the_upstream_refuses_is_told_to_the_client() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let expected = [
        (401, 4004, "upstream_refused"),
        (403, 4004, "upstream_refused"),
        (404, 4004, "upstream_refused"),
        (429, 1013, "upstream_busy"),
        (302, 1011, "upstream_failed"),
        (500, 1011, "upstream_failed"),
    ];
    for (status, close, code) in expected {
        upstream.refuse_with(status);
        let message = Peer::enter(&server, "/proxy/openai").refused(close, code);
        assert!(message.contains(&status.to_string()), "{message}");
    }
    let port =
        TcpStream::connect(("127.0.0.1", server.port)).expect("connected").local_addr().expect("an address").port();
    let url = format!("ws://127.0.0.1:{port}");
    let server = Server::start(&[("AUTH", "off"), ("OPENAI_API_KEY", "k"), ("OPENAI_REALTIME_URL", &url)]);
    Peer::enter(&server, "/proxy/openai").refused(1011, "upstream_failed");
}

#[test]
fn x4_how_long_an_upstream_asks_to_be_left_alone_is_told_to_the_client() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    for (status, expected) in [(RETRY_LATER, json!(30_000)), (500, json!(null))] {
        upstream.refuse_with(status);
        let (code, _, last) = Peer::enter(&server, "/proxy/openai").ended();
        let last: Value = serde_json::from_str(&last).expect("an error frame");
        assert_eq!((code, &last["retry_after_ms"]), (1011, &expected), "{last}");
        assert_eq!(last["message"].as_str().is_some_and(|words| words.contains("30 s")), status == RETRY_LATER);
    }
}

#[test]
fn x4_a_clients_close_reaches_the_upstream_with_code_and_reason_behind_its_last_frame() {
    let upstream = Upstream::start();
    let server = serve(&upstream, &[]);
    let cases = [(Some((1000, "bye")), 1000, "bye"), (Some((4321, "")), 4321, ""), (None, 1000, "")];
    for (sent, code, reason) in cases {
        let mut client = Peer::enter(&server, "/proxy/openai");
        client.send("last");
        let since = Instant::now();
        let frame = sent.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.to_owned().into() });
        client.socket.close(frame).expect("closed");
        let mut leg = upstream.leg();
        assert_eq!(leg.text(), "last");
        assert_eq!(ended_in_time(&mut leg, since), Some((code, reason.to_owned())), "{sent:?}");
        let way_back = client.way_back(0);
        assert_eq!(Peer::enter(&server, &way_back).welcome["resume"], "reset", "who hung up does not come back");
        upstream.leg();
    }
}

#[test]
fn x4_without_resume_an_upstream_is_closed_within_2_s_of_its_clients_cut() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &["resume_ms: 0"], &[]);
    let mut client = Peer::connect(&server, "/proxy/test");
    let mut leg = upstream.leg();
    leg.send("nothing of ours comes first");
    assert_eq!(client.text(), "nothing of ours comes first");
    let since = Instant::now();
    client.cut();
    assert_eq!(ended_in_time(&mut leg, since), Some((1001, String::new())));
}

#[test]
fn x4_an_upstream_that_does_not_read_is_dropped_within_2_s_of_its_clients_end_though_that_is_not_read_either() {
    let upstream = Upstream::start();
    let (server, _file) = serve_described(&upstream, &["resume_ms: 0"], &[("OUTBOX_BYTES", "128k")]);
    for is_polite in [true, false] {
        let mut client = Peer::connect(&server, "/proxy/test");
        let mut leg = upstream.leg();
        // The upstream reads nothing: at some point the client cannot send any more either.
        client.socket.get_ref().set_write_timeout(Some(Duration::from_millis(500))).expect("timeout");
        while client.socket.send(Message::binary(vec![7; 100_000])).is_ok() {}
        server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"test\"}", 1.0);
        let since = Instant::now();
        if is_polite {
            client.socket.get_ref().shutdown(Shutdown::Write).expect("shut");
        }
        drop(client);
        server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"test\"}", 0.0);
        let took = since.elapsed();
        assert!(took < BOUND + SLACK, "the upstream was closed after {took:?}");
        // What was on its way may still come; then the socket's end.
        let mut rest = vec![0; 1 << 20];
        while leg.socket.get_mut().read(&mut rest).is_ok_and(|count| count > 0) {}
    }
}

#[test]
fn x4_a_client_that_goes_while_the_upstream_is_being_opened_leaves_nothing_behind() {
    // A listener that never answers a handshake.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://127.0.0.1:{}", silent.local_addr().expect("an address").port());
    let server = Server::start(&[("AUTH", "off"), ("OPENAI_API_KEY", "k"), ("OPENAI_REALTIME_URL", &url)]);
    let client = Peer::enter(&server, "/proxy/openai");
    let (mut held, _) = silent.accept().expect("the proxy dials");
    server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"openai\"}", 1.0);
    let since = Instant::now();
    { client }.socket.close(None).expect("closed");
    let _ = held.read_to_end(&mut Vec::new());
    assert!(since.elapsed() < BOUND + SLACK);
    server.wait_for_metric("innkeeper_proxy_sessions{proxy=\"openai\"}", 0.0);
}

#[test]
fn d4_while_draining_clients_get_1012_and_every_upstream_is_closed_also_that_of_one_who_is_away() {
    let upstream = Upstream::start();
    let mut server = serve(&upstream, &[("DRAIN_TIMEOUT", "60")]);
    let mut present = Peer::enter(&server, "/proxy/openai");
    let mut its_leg = upstream.leg();
    let absent = Peer::enter(&server, "/proxy/openai");
    let mut other_leg = upstream.leg();
    absent.cut();
    server.wait_for_event("WS_CONNECTION_CLOSED");
    server.signal("TERM");
    let (code, _, last) = present.ended();
    assert_eq!(code, 1012);
    let last: serde_json::Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!((&last["type"], &last["code"]), (&json!("going_away"), &json!(1012)), "told as everybody is");
    for leg in [&mut its_leg, &mut other_leg] {
        assert_eq!(leg.ended(), Some((1001, String::new())));
    }
    drop((present, its_leg, other_leg));
    assert!(server.wait().success());
    let stopped = server.wait_for_log(|line| line["message"] == "stopped");
    assert_eq!(stopped["drained"], true, "{stopped}");
}
