//! Owns the tests of clients that send faster than their rates: a proxy slows them down and never
//! closes them (S5a, X2).

use std::time::{Duration, Instant};

use serde_json::json;
use tungstenite::{Bytes, Message};

use super::{Peer, SECRET, Upstream, serve_described};
use crate::support::{token, unix_secs};

#[test]
fn s5a_at_a_proxy_more_frames_than_the_rate_arrive_late_and_all() {
    let upstream = Upstream::start();
    let more = [("MESSAGE_RATE", "100"), ("MESSAGE_BURST", "20")];
    let (server, _file) = serve_described(&upstream, &[], &more);
    let mut client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    let began = Instant::now();
    for i in 0..120 {
        client.send(&i.to_string());
        // Pings are frames as well; the upstream does not see them.
        client.socket.send(Message::Ping(Bytes::new())).expect("sent");
    }
    for i in 0..120 {
        assert_eq!(leg.text(), i.to_string());
    }
    let took = began.elapsed();
    assert!(took > Duration::from_millis(2000), "240 frames at 100 a second took {took:?}");
    leg.send("still here");
    assert_eq!(client.text(), "still here");
    assert_eq!(server.metric(r#"innkeeper_disconnects_total{cause="rate_exceeded"}"#), 0.0);
}

#[test]
fn s5a_at_a_proxy_more_bytes_than_the_rate_arrive_late_and_all_whatever_their_frames() {
    let upstream = Upstream::start();
    let more = [("BYTE_RATE", "100k"), ("BYTE_BURST", "64k")];
    let (server, _file) = serve_described(&upstream, &[], &more);
    let mut client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    let began = Instant::now();
    // One message is longer than the burst.
    let sizes = [100_000, 30_000, 0, 50_000, 60_000, 20_000];
    for (i, size) in sizes.into_iter().enumerate() {
        let payload = vec![i as u8; size];
        client.socket.send(Message::binary(payload)).expect("sent");
    }
    client.send("the last");
    for (i, size) in sizes.into_iter().enumerate() {
        assert_eq!(leg.message(), Message::binary(vec![i as u8; size]));
    }
    assert_eq!(leg.text(), "the last");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(1900), "260 kB at 100 KiB a second after 64 KiB took {took:?}");
}

#[test]
fn s5a_a_pause_at_a_full_upstream_does_not_open_the_rate_of_bytes() {
    let upstream = Upstream::start();
    let more = [("BYTE_RATE", "200k"), ("BYTE_BURST", "64k"), ("OUTBOX_BYTES", "64k")];
    let (server, _file) = serve_described(&upstream, &[], &more);
    let mut client = Peer::enter(&server, "/proxy/test");
    let mut leg = upstream.leg();
    let chunk = vec![7; 60_000];
    let writer = std::thread::spawn(move || {
        for _ in 0..20 {
            client.socket.send(Message::binary(chunk.clone())).expect("sent");
        }
        client
    });
    // For this long the upstream reads nothing.
    std::thread::sleep(Duration::from_millis(700));
    let began = Instant::now();
    (0..20).for_each(|_| assert_eq!(leg.message().len(), 60_000));
    let took = began.elapsed();
    // 1.2 MB at 200 KiB a second; while the upstream did not read, the server took in what its
    // bounds and the rate allow.
    assert!(took > Duration::from_millis(4000), "{took:?}");
    writer.join().expect("the client lives");
}

#[test]
fn b1_a_client_that_is_slowed_down_is_pinged_and_its_own_silence_does_not_count() {
    let upstream = Upstream::start();
    let more = [
        ("MESSAGE_RATE", "1000"),
        ("BYTE_RATE", "10k"),
        ("BYTE_BURST", "64k"),
        ("WS_PING_INTERVAL", "0.2"),
        ("WS_PING_TIMEOUT", "0.2"),
    ];
    let (server, _file) = serve_described(&upstream, &["resume_ms: 0"], &more);
    let mut client = Peer::connect(&server, "/proxy/test");
    let mut leg = upstream.leg();
    // Nothing of the client is read for about two seconds behind the second one, not even its
    // pongs.
    client.socket.send(Message::binary(vec![0; 64 << 10])).expect("sent");
    client.socket.send(Message::binary(vec![0; 20 << 10])).expect("sent");
    client.send("behind it");
    client.socket.get_ref().set_read_timeout(Some(Duration::from_millis(50))).expect("timeout");
    let (began, mut pings) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_millis(1500) {
        match client.socket.read() {
            Ok(Message::Ping(_)) => pings += 1,
            // Unasked for: so the server finds out whether the peer is there.
            Ok(Message::Pong(_)) => {}
            Ok(other) => panic!("{other:?}"),
            Err(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(pings >= 3, "{pings} pings");
    assert_eq!((leg.message().len(), leg.message().len()), (64 << 10, 20 << 10));
    assert_eq!(leg.text(), "behind it");
}

#[test]
fn s5a_before_its_token_a_client_of_a_proxy_is_slowed_down_too() {
    let upstream = Upstream::start();
    let more = [("JWT_SECRET", SECRET), ("MESSAGE_RATE", "50"), ("MESSAGE_BURST", "5")];
    let (server, _file) = serve_described(&upstream, &[], &more);
    let mut client = Peer::connect(&server, "/proxy/test");
    (0..55).for_each(|_| client.send(r#"{"type":"ping"}"#));
    let jwt = token(SECRET, &json!({"sub": "a", "exp": unix_secs(600)}));
    client.send(&json!({"type": "auth", "token": jwt}).to_string());
    let began = Instant::now();
    (0..55).for_each(|_| assert_eq!(client.json()["type"], "pong"));
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    client.welcomed();
}
