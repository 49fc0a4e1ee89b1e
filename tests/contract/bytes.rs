//! Owns the tests of how many bytes a connection may send (S5a): rooms and hubs close with 4029,
//! even for frames that were refused.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{RawSocket, Server};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const CONTINUES_AND_ENDS: u8 = 0x80;

const SECRET: &str = "a secret of at least thirty-two bytes";
const BURST: usize = 64 * 1024;
/// So many frames of a quarter of the burst pass it by 16 s of the rate: a busy machine does not
/// give them back in time.
const TOO_MANY: usize = 5;
/// A rate that gives back next to nothing while a test runs, and no bound on frames.
const SLOW: [(&str, &str); 4] =
    [("BYTE_RATE", "1k"), ("BYTE_BURST", "64k"), ("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000")];

/// A text frame with exactly this payload length, `frame` padded by a field that means nothing.
fn padded(frame: &str, length: usize) -> Vec<u8> {
    let body = frame.strip_suffix('}').expect("an object");
    let comma = if body == "{" { "" } else { "," };
    let pad = "x".repeat(length - body.len() - comma.len() - r#""pad":""}"#.len());
    RawSocket::frame(TEXT, format!(r#"{body}{comma}"pad":"{pad}"}}"#).as_bytes())
}

/// The code that this connection is closed with once it has sent `bytes`, and the error before it.
fn closed(mut socket: RawSocket, bytes: &[u8]) -> (u16, String) {
    socket.try_write(bytes);
    let error = loop {
        let frame = socket.until_type("error");
        if frame["code"] == "rate_exceeded" {
            break frame["message"].as_str().expect("words").to_owned();
        }
    };
    (socket.close_code(), error)
}

fn member(server: &Server, name: &str) -> RawSocket {
    let mut socket = server.raw().upgrade(&format!("/ws/g/{name}"));
    socket.until_type("welcome");
    socket
}

#[test]
fn s5a_refused_frames_pings_and_fragments_cost_as_many_bytes_as_accepted_ones() {
    let server = Server::start(&SLOW);
    let large = BURST / 4 + 1;
    let fragments = [
        RawSocket::frame(TEXT_BEGINS, &vec![b' '; large]),
        RawSocket::frame(CONTINUES, &vec![b' '; large]),
        RawSocket::frame(CONTINUES, &vec![b' '; large]),
        RawSocket::frame(CONTINUES, &vec![b' '; large - 10]),
    ];
    let whole = [fragments[0].clone(), RawSocket::frame(CONTINUES_AND_ENDS, &vec![b' '; large])].concat();
    let kinds = [
        ("messages", padded(r#"{"type":"send","data":1}"#, large)),
        ("messages to nobody", padded(r#"{"type":"send","data":1,"to":["nobody"]}"#, large)),
        ("volatile values", padded(r#"{"type":"send","volatile":"x","data":1}"#, large)),
        ("conflicts", padded(r#"{"type":"patch","patch":{"a":1},"if_seq":0}"#, large)),
        ("ping frames", padded(r#"{"type":"ping"}"#, large)),
        ("unknown types", padded(r#"{"type":"dance"}"#, large)),
        ("a wrong field", padded(r#"{"type":"send","id":0,"data":1}"#, large)),
        ("no JSON", RawSocket::frame(TEXT, &vec![b'{'; large])),
        ("binary frames", RawSocket::frame(BINARY, &vec![0; large])),
    ];
    for (what, frame) in kinds {
        let socket = member(&server, &what.replace(' ', "-"));
        let (code, error) = closed(socket, &frame.repeat(TOO_MANY));
        assert_eq!(code, 4029, "{what}");
        assert!(error.contains("BYTE_RATE") && error.contains("BYTE_BURST"), "{what}: {error}");
    }
    for (what, frame) in [("pings", PING), ("pongs", PONG)] {
        let flood = RawSocket::frame(frame, &[0; 125]).repeat(TOO_MANY * large / 125);
        assert_eq!(closed(member(&server, what), &flood).0, 4029, "{what}");
    }
    // The message never ends: its fragments count as they come.
    let begun = [RawSocket::frame(PING, &[0; 125]).repeat(large / 125), fragments.concat()].concat();
    assert_eq!(closed(member(&server, "fragments"), &begun).0, 4029);
    assert_eq!(closed(member(&server, "fragmented"), &whole.repeat(3)).0, 4029);
    let ended = server.metric(r#"innkeeper_disconnects_total{cause="rate_exceeded"}"#);
    assert_eq!(ended, 13.0);
}

#[test]
fn s5a_the_burst_in_one_message_passes_and_so_does_what_comes_at_the_rate() {
    let server = Server::start(&[("MAX_MESSAGE_BYTES", "64k"), ("BYTE_RATE", "256k"), ("BYTE_BURST", "64k")]);
    let mut socket = member(&server, "steady");
    let message = padded(r#"{"type":"send","data":1}"#, BURST);
    for _ in 0..3 {
        socket.write(&message);
        socket.until_type("message");
        // What the rate gives back in this time is what the next message takes.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    socket.write(&RawSocket::frame(TEXT, br#"{"type":"ping","nonce":7}"#));
    assert_eq!(socket.until_type("pong")["nonce"], 7);
}

#[test]
fn s5a_bytes_count_before_the_token_for_spectators_and_at_hubs() {
    let server = Server::start(&[&SLOW[..], &[("JWT_SECRET", SECRET)]].concat());
    let large = padded(r#"{"type":"send","data":1}"#, BURST / 4 + 1);
    assert_eq!(closed(server.raw().upgrade("/ws/g/stranger"), &large.repeat(TOO_MANY)).0, 4029);

    let server = Server::start(&SLOW);
    let mut spectator = server.raw().upgrade("/ws/g/eve?spectate=1");
    spectator.until_type("welcome");
    assert_eq!(closed(spectator, &large.repeat(TOO_MANY)).0, 4029);

    let bus = Server::start(&[&SLOW[..], &[("HUBS", "lobby=bus")]].concat());
    let subscribe = padded(&json!({"type": "subscribe", "topics": ["a"]}).to_string(), BURST / 4 + 1);
    assert_eq!(closed(bus.raw().upgrade("/ws/lobby"), &subscribe.repeat(TOO_MANY)).0, 4029);
}

#[test]
fn s5a_a_fast_sender_is_ended_before_it_fills_the_outbox_of_a_reader_at_a_usual_speed() {
    let server = Server::start(&[]);
    let mut reader = server.connect("/ws/g/reader").welcomed();
    let mut sender = member(&server, "sender");
    // 65 KB a frame, 95 frames a second: within MESSAGE_RATE.
    let frame = padded(r#"{"type":"send","data":1}"#, 65_000);
    sender.try_write(&frame.repeat(95));
    let line = server.wait_for_end_of("sender");
    assert_eq!((&line["cause"], &line["code"]), (&json!("rate_exceeded"), &json!(4029)), "{line}");
    while reader.next()["status"] != "away" {}
}

#[test]
fn s5a_who_goes_on_sending_after_the_close_still_reads_why() {
    let server = Server::start(&SLOW);
    let mut socket = member(&server, "late");
    let frame = padded(r#"{"type":"send","data":1}"#, BURST / 4);
    // Longer than a silent peer is waited for: a reset would destroy the close frame that nobody
    // has read yet.
    let end = Instant::now() + Duration::from_secs(4);
    while Instant::now() < end {
        assert!(socket.try_write(&frame), "the server reset the connection");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(closed(socket, &[]).0, 4029);
}
