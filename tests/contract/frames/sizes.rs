//! Owns the tests of how long frames may be and how many may come (S4, S5).

use super::*;

#[test]
fn s4_the_bound_is_exact_and_the_header_alone_decides() {
    let room = Room::open(&[("MAX_MESSAGE_BYTES", "1000")]);
    let mut intruder = room.intruder();
    let frame = json!({"type": "send", "data": "x".repeat(1000 - r#"{"type":"send","data":""}"#.len())}).to_string();
    assert_eq!(frame.len(), 1000);
    intruder.socket.write(&RawSocket::frame(TEXT, frame.as_bytes()));
    assert_eq!(intruder.socket.until_type("message")["from"], intruder.name.as_str());
    // Without a single byte of the payload: only the declaration can have decided.
    intruder.socket.write(&RawSocket::header(TEXT, 1001));
    room.ended("one byte too many", &mut intruder, 1009, "message_too_big");
    room.refuses("a binary frame", &RawSocket::header(BINARY, 1001), 1009, "message_too_big");
    room.refuses("64 KiB and more", &RawSocket::header(TEXT, 1 << 16), 1009, "message_too_big");
    let mut room = room;
    room.bystander.until_type("message");
    room.plays_on();
}

#[test]
fn s4_a_declared_gib_is_refused_at_once_and_200_mb_of_it_cost_no_memory() {
    let room = Room::open(&[]);
    let stream = |room: &Room, bytes: usize| {
        let mut intruder = room.intruder();
        intruder.socket.write(&RawSocket::header(TEXT, 1 << 30));
        let socket = RawSocket(intruder.socket.0.try_clone().expect("a second handle"));
        let streaming = std::thread::spawn(move || {
            let mut socket = socket;
            let chunk = vec![0; 1 << 20];
            let mut sent = 0;
            // A server that hung up after its linger time is fine: it had told us why.
            while sent < bytes && socket.try_write(&chunk) {
                sent += chunk.len();
            }
        });
        room.ended("a declared GiB", &mut intruder, 1009, "message_too_big");
        streaming
    };
    // The first one makes the server touch its shared buffers.
    stream(&room, 1 << 20).join().expect("streamed");
    let before = room.server.resident_bytes();
    let streaming = stream(&room, 200 << 20);
    let mut most = 0;
    while !streaming.is_finished() {
        most = room.server.resident_bytes().max(most);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    streaming.join().expect("streamed");
    most = room.server.resident_bytes().max(most);
    let grown = most.saturating_sub(before);
    assert!(grown < 8 << 20, "the server grew by {grown} bytes");
    room.plays_on();
}

#[test]
fn s4_fragments_count_as_their_sum() {
    let room = Room::open(&[("MAX_MESSAGE_BYTES", "1000")]);
    let begin = RawSocket::frame(TEXT_BEGINS, &[b' '; 600]);
    let bytes = [&begin[..], &RawSocket::header(CONTINUES_AND_ENDS, 401)].concat();
    room.refuses("two fragments", &bytes, 1009, "message_too_big");
    let bytes = [&begin[..], &RawSocket::frame(PING, &[0; 125]), &RawSocket::header(CONTINUES, 401)].concat();
    room.refuses("with a ping between, which does not count", &bytes, 1009, "message_too_big");

    let mut intruder = room.intruder();
    let end = [&[b' '; 385][..], br#"{"type":"pong"}"#].concat();
    assert_eq!(600 + end.len(), 1000);
    let whole = [begin, RawSocket::frame(CONTINUES_AND_ENDS, &end)].concat();
    intruder.socket.write(&[whole, ping(7)].concat());
    assert_eq!(intruder.socket.until_type("pong")["nonce"], 7, "exactly the bound is fine");
    room.plays_on();
}

#[test]
fn s4_continuations_without_end_reach_the_bound() {
    let room = Room::open(&[("MESSAGE_BURST", "1000000"), ("MESSAGE_RATE", "1000000")]);
    let mut intruder = room.intruder();
    let bytes = [RawSocket::frame(TEXT_BEGINS, b" "), RawSocket::frame(CONTINUES, b" ").repeat(70_000)].concat();
    intruder.socket.try_write(&bytes);
    room.ended("one byte at a time", &mut intruder, 1009, "message_too_big");
    room.plays_on();
}

// ---- rates (4029, 1008)

#[test]
fn s5_a_flood_of_tiny_frames_closes_with_4029() {
    let room = Room::open(&[("MESSAGE_RATE", "1"), ("MESSAGE_BURST", "20")]);
    let floods = [
        ("pings", RawSocket::frame(PING, b"")),
        ("pongs", RawSocket::frame(PONG, b"")),
        ("ping frames", text(&json!({"type": "ping"}))),
        ("volatile values", text(&json!({"type": "send", "volatile": "x", "data": 1, "to": ["nobody"]}))),
    ];
    for (what, frame) in floods {
        room.refuses(what, &frame.repeat(2000), 4029, "rate_exceeded");
    }
    // Bad frames are told apart from many frames: ten of them are reached first.
    room.refuses("empty texts", &RawSocket::frame(TEXT, b"").repeat(2000), 1008, "too_many_errors");
    assert_eq!(room.server.metric(r#"innkeeper_disconnects_total{cause="rate_exceeded"}"#), 4.0);
    room.plays_on();
}

#[test]
fn s5_empty_continuations_without_end_close_with_4029() {
    let room = Room::open(&[("MESSAGE_RATE", "1"), ("MESSAGE_BURST", "20")]);
    let bytes = [RawSocket::frame(TEXT_BEGINS, b""), RawSocket::frame(CONTINUES, b"").repeat(100_000)].concat();
    room.refuses("empty continuations", &bytes, 4029, "rate_exceeded");
    room.plays_on();
}

#[test]
fn s5_the_burst_itself_is_admitted_and_the_session_may_be_resumed_after_the_close() {
    let mut room = Room::open(&[("MESSAGE_RATE", "1"), ("MESSAGE_BURST", "20")]);
    let mut socket = room.server.raw().upgrade("/ws/g/flooder");
    let session = socket.until_type("welcome")["session"].as_str().expect("a session").to_owned();
    socket.write(&text(&json!({"type": "send", "data": "flood"})).repeat(100));
    assert_eq!(socket.close_code(), 4029);
    let flood = std::iter::repeat_with(|| room.bystander.next()).take_while(|frame| frame["status"] != "away");
    let admitted = flood.filter(|frame| frame["type"] == "message").count();
    // The bucket may have gained one or a few in the meantime.
    assert!((20..60).contains(&admitted), "{admitted} messages");
    let flooder = room.server.connect(&format!("/ws/g/flooder?session={session}&seq=2")).welcomed();
    assert_eq!(flooder.welcome["resume"], "continuous");
    room.plays_on();
}

// ---- JSON (P2)
