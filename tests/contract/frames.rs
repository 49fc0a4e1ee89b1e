//! Owns the tests of bytes that break RFC 6455 or a bound (S4, S5, P2, close 1002, 1007, 1008, 1009, 4029).
//! Run by `cargo test --test contract`.

use std::cell::Cell;

use serde_json::{Value, json};

use crate::support::{Client, RawSocket, Server};

/// FIN and the opcode; without FIN it is the opcode alone.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const CONTINUES_AND_ENDS: u8 = 0x80;

/// A room with a bystander in it: what ends one member's connection must not touch the other.
struct Room {
    server: Server,
    bystander: Client,
    intruders: Cell<usize>,
}

/// A member about to misbehave.
struct Intruder {
    name: String,
    socket: RawSocket,
}

impl Room {
    fn open(settings: &[(&str, &str)]) -> Self {
        let server = Server::start(settings);
        let bystander = server.connect("/ws/g/bystander").welcomed();
        Self { server, bystander, intruders: Cell::new(0) }
    }

    /// Another member of the room, welcomed.
    fn intruder(&self) -> Intruder {
        let number = self.intruders.replace(self.intruders.get() + 1);
        let name = format!("intruder-{number}");
        let mut socket = self.server.raw().upgrade(&format!("/ws/g/{name}"));
        socket.until_type("welcome");
        Intruder { name, socket }
    }

    /// An intruder sends `bytes`: it is closed with `code`, and `cause` is logged.
    fn refuses(&self, what: &str, bytes: &[u8], code: u16, cause: &str) {
        let mut intruder = self.intruder();
        intruder.socket.try_write(bytes);
        self.ended(what, &mut intruder, code, cause);
    }

    fn ended(&self, what: &str, intruder: &mut Intruder, code: u16, cause: &str) {
        assert_eq!(intruder.socket.close_code(), code, "{what}");
        self.logged(what, intruder, code, cause);
    }

    fn logged(&self, what: &str, intruder: &Intruder, code: u16, cause: &str) {
        let line = self.server.wait_for_end_of(&intruder.name);
        assert_eq!((&line["cause"], &line["code"]), (&json!(cause), &json!(code)), "{what}: {line}");
    }

    /// The bystander noticed nothing but presence, and plays on; the server is as well as ever.
    fn plays_on(mut self) {
        for frame in self.bystander.drain() {
            assert_eq!(frame["type"], "presence", "{frame}");
        }
        self.bystander.send(&json!({"type": "send", "id": 1, "data": "still here"}));
        let message = self.bystander.until_type("message");
        assert_eq!((&message["from"], &message["data"]), (&json!("bystander"), &json!("still here")));
        assert!(self.server.is_alive());
        assert_eq!(self.server.get("/health").status, 200);
        assert_eq!(self.server.metric("innkeeper_room_restarts_total"), 0.0);
    }
}

fn text(frame: &Value) -> Vec<u8> {
    RawSocket::frame(TEXT, frame.to_string().as_bytes())
}

fn ping(nonce: u64) -> Vec<u8> {
    text(&json!({"type": "ping", "nonce": nonce}))
}

fn close(payload: &[u8]) -> Vec<u8> {
    RawSocket::frame(CLOSE, payload)
}

// ---- RFC 6455 (1002)

#[test]
fn rfc_6455_frames_that_break_it_close_with_1002_and_nobody_else_notices() {
    let room = Room::open(&[]);
    let refuses = |what: &str, bytes: &[u8]| room.refuses(what, bytes, 1002, "protocol_error");
    for bit in [0x40, 0x20, 0x10] {
        refuses("a reserved bit in a text", &RawSocket::frame(TEXT | bit, b"{}"));
        refuses("a reserved bit in a ping", &RawSocket::frame(PING | bit, b""));
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        refuses("a reserved opcode", &RawSocket::frame(0x80 | opcode, b""));
    }
    refuses("an unmasked text", &[TEXT, 2, b'{', b'}']);
    refuses("an unmasked ping", &[PING, 0]);
    refuses("an unmasked close", &[CLOSE, 2, 0x03, 0xe8]);
    refuses("a control frame of 126 bytes", &RawSocket::frame(PING, &[0; 126]));
    refuses("a control frame that declares 1 GiB", &RawSocket::header(PONG, 1 << 30));
    refuses("a fragmented ping", &RawSocket::frame(0x09, b"x"));
    refuses("a fragmented close", &RawSocket::frame(0x08, &1000_u16.to_be_bytes()));
    refuses("a continuation of nothing", &RawSocket::frame(CONTINUES_AND_ENDS, b"x"));
    refuses("a continuation after a whole message", &[ping(1), RawSocket::frame(CONTINUES, b"x")].concat());
    for second in [TEXT, TEXT_BEGINS, BINARY] {
        let bytes = [RawSocket::frame(TEXT_BEGINS, b"{"), RawSocket::frame(second, b"}")].concat();
        refuses("a message inside a fragmented one", &bytes);
    }
    for (length, bytes) in [(5_u64, 2), (125, 2), (0, 8), (126, 8), (65_535, 8)] {
        let mut frame = vec![TEXT, 0x80 | if bytes == 2 { 126 } else { 127 }];
        frame.extend_from_slice(&length.to_be_bytes()[8 - bytes..]);
        frame.extend_from_slice(&vec![0; 4 + length as usize]);
        refuses("a length in more bytes than it needs", &frame);
    }
    refuses("a length with its top bit set", &RawSocket::header(TEXT, 1 << 63));
    room.plays_on();
}

#[test]
fn rfc_6455_malformed_close_frames_close_with_1002_and_correct_ones_are_echoed() {
    let room = Room::open(&[]);
    room.refuses("a close of one byte", &close(&[3]), 1002, "protocol_error");
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let what = format!("close code {code}");
        room.refuses(&what, &close(&code.to_be_bytes()), 1002, "protocol_error");
    }
    let bad_reason = [&1000_u16.to_be_bytes()[..], &[0xff, 0xfe]].concat();
    room.refuses("a close reason that is not UTF-8", &close(&bad_reason), 1007, "invalid_utf8");
    for code in [1000_u16, 1001, 1003, 1007, 1011, 1014, 3000, 4000, 4999] {
        let payload = [&code.to_be_bytes()[..], "größer".as_bytes()].concat();
        room.refuses(&format!("close code {code}"), &close(&payload), code, "client_closed");
    }
    room.refuses("a close without a code", &close(b""), 1005, "client_closed");
    room.plays_on();
}

#[test]
fn rfc_6455_frames_before_a_broken_one_count_and_frames_after_a_close_do_not() {
    let mut room = Room::open(&[]);
    let mut intruder = room.intruder();
    let send = |data| text(&json!({"type": "send", "data": data}));
    intruder.socket.write(&[send(1), send(2), RawSocket::frame(TEXT | 0x40, b"{}"), send(3)].concat());
    let sent: Vec<_> = std::iter::repeat_with(|| room.bystander.next())
        .take_while(|frame| frame["status"] != "away")
        .filter(|frame| frame["type"] == "message")
        .map(|frame| frame["data"].clone())
        .collect();
    assert_eq!(sent, [1, 2]);
    assert_eq!(intruder.socket.until_type("error")["code"], "protocol_error");
    room.ended("a broken frame after good ones", &mut intruder, 1002, "protocol_error");
    assert_eq!(intruder.socket.next_frame(), None, "nothing follows a close frame");

    let mut intruder = room.intruder();
    intruder.socket.write(&[close(&1000_u16.to_be_bytes()), text(&json!({"type": "send", "data": "ghost"}))].concat());
    room.ended("a message after a close", &mut intruder, 1000, "client_closed");
    // The bystander would see the ghost.
    room.plays_on();
}

// ---- UTF-8 (1007)

#[test]
fn rfc_6455_text_that_is_not_utf_8_closes_with_1007_also_across_fragments() {
    let room = Room::open(&[]);
    let refuses = |what: &str, bytes: &[u8]| room.refuses(what, bytes, 1007, "invalid_utf8");
    refuses("a lone byte", &RawSocket::frame(TEXT, b"{\"type\":\"\xff\"}"));
    refuses("an overlong slash", &RawSocket::frame(TEXT, b"\xc0\xaf"));
    refuses("a surrogate", &RawSocket::frame(TEXT, b"\xed\xa0\x80"));
    refuses("past U+10FFFF", &RawSocket::frame(TEXT, b"\xf4\x90\x80\x80"));
    refuses("a character that is cut off", &RawSocket::frame(TEXT, b"\"\xe2\x82"));
    let bytes = [
        RawSocket::frame(TEXT_BEGINS, b"\"\xe2"),
        RawSocket::frame(PING, b"between"),
        RawSocket::frame(CONTINUES_AND_ENDS, b"\x28\""),
    ];
    refuses("a character that goes wrong in the next fragment", &bytes.concat());
    room.plays_on();
}

#[test]
fn rfc_6455_a_character_may_be_split_across_fragments_with_control_frames_between() {
    let room = Room::open(&[]);
    let mut intruder = room.intruder();
    let whole = r#"{"type":"ping","nonce":"€"}"#.as_bytes();
    let cut = whole.iter().position(|byte| *byte == 0xe2).expect("the euro") + 1;
    let bytes = [
        RawSocket::frame(TEXT_BEGINS, &whole[..cut]),
        RawSocket::frame(PING, b"between"),
        RawSocket::frame(CONTINUES, b""),
        RawSocket::frame(CONTINUES_AND_ENDS, &whole[cut..]),
    ];
    intruder.socket.write(&bytes.concat());
    assert_eq!(intruder.socket.next_frame(), Some((PONG, b"between".to_vec())));
    assert_eq!(intruder.socket.until_type("pong")["nonce"], "€");
    room.plays_on();
}

#[test]
fn p2_a_binary_frame_gets_the_error_unsupported_and_the_connection_lives() {
    let room = Room::open(&[]);
    let mut intruder = room.intruder();
    intruder.socket.write(&[RawSocket::frame(BINARY, b"\xff\x00"), ping(1)].concat());
    assert_eq!(intruder.socket.until_type("error")["code"], "unsupported");
    assert_eq!(intruder.socket.until_type("pong")["nonce"], 1);
    room.plays_on();
}

// ---- sizes (1009)

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

/// Sends `frames`, each of which must get an `error` with this code; then shows that the connection lives.
fn get_errors(room: &Room, frames: &[(&str, String, &str)]) {
    let mut intruder = room.intruder();
    for (at, (what, frame, code)) in (0..).zip(frames) {
        if at > 0 && at % 8 == 0 {
            intruder = room.intruder();
        }
        intruder.socket.write(&RawSocket::frame(TEXT, frame.as_bytes()));
        let error = intruder.socket.until_type("error");
        assert_eq!(error["code"], *code, "{what}: {error}");
        intruder.socket.write(&ping(at));
        assert_eq!(intruder.socket.until_type("pong")["nonce"], at, "{what}");
    }
}

#[test]
fn p2_json_nested_30_000_deep_gets_an_error_and_the_connection_lives() {
    let room = Room::open(&[("MAX_MESSAGE_BYTES", "1m"), ("BYTE_BURST", "64m")]);
    let deep = 30_000;
    let arrays = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep));
    let mixed = format!("{}1{}", r#"[{"a":"#.repeat(deep), "}]".repeat(deep));
    let mut frames = Vec::new();
    for value in [&arrays, &objects, &mixed] {
        frames.push(("data", format!(r#"{{"type":"send","data":{value}}}"#), "too_deep"));
        frames.push(("nonce", format!(r#"{{"type":"ping","nonce":{value}}}"#), "too_deep"));
        frames.push(("to", format!(r#"{{"type":"send","data":1,"to":{value}}}"#), "too_deep"));
        frames.push(("patch", format!(r#"{{"type":"patch","patch":{{"a":{value}}}}}"#), "too_deep"));
        frames.push(("an unknown field", format!(r#"{{"type":"ping","x":{value}}}"#), "too_deep"));
        frames.push(("type", format!(r#"{{"type":{value}}}"#), "too_deep"));
        frames.push(("the frame itself", value.clone(), "too_deep"));
    }
    frames.push(("never closed", "[".repeat(1 << 20), "too_deep"));
    frames.push(("never opened", "]".repeat(1 << 20), "bad_json"));
    frames.push(("only blanks", " ".repeat(1 << 20), "bad_json"));
    get_errors(&room, &frames);
    room.plays_on();
}

#[test]
fn p2_what_the_server_accepts_as_deep_enough_every_member_can_read() {
    let mut room = Room::open(&[]);
    let nested = |depth: usize| format!("{}{}", r#"{"a":"#.repeat(depth), format_args!("1{}", "}".repeat(depth)));
    // The frame itself is one level.
    let deepest = (1..200).rev().find(|depth| {
        let mut intruder = room.intruder();
        let frame = format!(r#"{{"type":"send","data":{}}}"#, nested(*depth));
        intruder.socket.write(&RawSocket::frame(TEXT, frame.as_bytes()));
        loop {
            let (_, payload) = intruder.socket.next_frame().expect("an answer");
            if !payload.starts_with(br#"{"type":"presence""#) {
                break payload.starts_with(br#"{"type":"message""#);
            }
        }
    });
    let deepest = deepest.expect("some depth is accepted");
    // A common client's parser, serde_json's, which stops at 128 levels, reads it.
    let message = room.bystander.until_type("message");
    assert!(message["data"].is_object());
    // As a patch it becomes state, which is one level deep in a welcome too.
    room.bystander.send_text(&format!(r#"{{"type":"patch","patch":{}}}"#, nested(deepest)));
    room.bystander.until_type("patch");
    let late = room.server.connect("/ws/g/late").welcomed();
    assert!(late.welcome["state"]["a"].is_object());
    room.plays_on();
}

#[test]
fn p2_huge_json_just_under_the_bound_is_answered_and_the_connection_lives() {
    let mut room = Room::open(&[]);
    // What surrounds a value takes less than 100 bytes.
    let size = 65_536 - 100;
    let digits = "9".repeat(size);
    let string = "x".repeat(size);
    let escapes = r"\u0041".repeat(size / 6);
    let keys = vec![r#""a":1"#; size / 6].join(",");
    let ids = vec![r#""bob""#; size / 6].join(",");
    get_errors(
        &room,
        &[
            ("an id of 65,000 digits", format!(r#"{{"type":"send","data":1,"id":{digits}}}"#), "invalid_field"),
            ("a seq of 65,000 digits", format!(r#"{{"type":"auth","seq":{digits}}}"#), "invalid_field"),
            ("a long type", format!(r#"{{"type":"{string}"}}"#), "unknown_type"),
            ("a long type in escapes", format!(r#"{{"type":"{escapes}"}}"#), "unknown_type"),
            ("a long volatile name", format!(r#"{{"type":"send","data":1,"volatile":"{escapes}"}}"#), "invalid_field"),
            ("a long player", format!(r#"{{"type":"send","data":1,"to":["{string}"]}}"#), "invalid_field"),
            ("a number as state", format!(r#"{{"type":"patch","patch":{{"a":{digits}}}}}"#), "bad_json"),
            ("infinity as state", r#"{"type":"patch","patch":{"a":1e999}}"#.into(), "bad_json"),
            ("a field twice", format!(r#"{{"type":"ping","nonce":"{string}","type":"ping"}}"#), "bad_json"),
            ("a string without end", format!(r#"{{"type":"ping","nonce":"{string}"#), "bad_json"),
            ("half a surrogate in a type", r#"{"type":"\ud800"}"#.into(), "invalid_field"),
        ],
    );
    // Well-formed values are nobody's business but the players'.
    let mut intruder = room.intruder();
    for data in [format!("{{{keys}}}"), format!(r#""{escapes}""#), format!(r#""{string}""#)] {
        intruder.socket.write(&RawSocket::frame(TEXT, format!(r#"{{"type":"send","data":{data}}}"#).as_bytes()));
        intruder.socket.until_type("message");
        room.bystander.until_type("message");
    }
    intruder.socket.write(&RawSocket::frame(TEXT, format!(r#"{{"type":"ping",{keys}}}"#).as_bytes()));
    intruder.socket.until_type("pong");
    let to_many = format!(r#"{{"type":"send","data":1,"to":[{ids}]}}"#);
    intruder.socket.write(&RawSocket::frame(TEXT, to_many.as_bytes()));
    intruder.socket.until_type("message");
    room.plays_on();
}

#[test]
fn p2_ten_bad_frames_in_ten_seconds_close_with_1008_and_nine_do_not() {
    let room = Room::open(&[]);
    let bad = RawSocket::frame(TEXT, b"{");
    let mut intruder = room.intruder();
    intruder.socket.write(&[bad.repeat(9), ping(9)].concat());
    for _ in 0..9 {
        assert_eq!(intruder.socket.until_type("error")["code"], "bad_json");
    }
    assert_eq!(intruder.socket.until_type("pong")["nonce"], 9);
    intruder.socket.write(&bad);
    assert_eq!(intruder.socket.until_type("error")["code"], "bad_json");
    room.ended("the tenth", &mut intruder, 1008, "too_many_errors");
    room.plays_on();
}

// ---- how bytes arrive

#[test]
fn rfc_6455_a_handshake_and_frames_that_arrive_in_single_bytes_are_understood() {
    let room = Room::open(&[]);
    let mut socket = room.server.raw();
    socket.0.set_nodelay(true).expect("nodelay");
    let long = text(&json!({"type": "ping", "nonce": "x".repeat(200)}));
    let bytes = [handshake("/ws/g/slow-typist"), ping(1), RawSocket::frame(PING, b"abc"), long].concat();
    for byte in bytes {
        socket.write(&[byte]);
    }
    read_head(&mut socket);
    assert_eq!(socket.until_type("welcome")["player"], "slow-typist");
    assert_eq!(socket.until_type("pong")["nonce"], 1);
    assert_eq!(socket.next_frame(), Some((PONG, b"abc".to_vec())));
    assert_eq!(socket.until_type("pong")["nonce"], "x".repeat(200));
    room.plays_on();
}

#[test]
fn rfc_6455_frames_in_one_segment_with_the_handshake_are_not_lost() {
    let room = Room::open(&[]);
    let mut socket = room.server.raw();
    // The last frame comes in two parts, the first of them behind the handshake.
    let last = ping(3);
    let (half, rest) = last.split_at(9);
    socket.write(&[&handshake("/ws/g/hasty")[..], &ping(1), &ping(2), half].concat());
    read_head(&mut socket);
    assert_eq!(socket.until_type("welcome")["player"], "hasty");
    assert_eq!(socket.until_type("pong")["nonce"], 1);
    assert_eq!(socket.until_type("pong")["nonce"], 2);
    socket.write(rest);
    assert_eq!(socket.until_type("pong")["nonce"], 3);

    let mut socket = room.server.raw();
    let many: Vec<u8> = (0..150).flat_map(ping).collect();
    socket.write(&[handshake("/ws/g/hastier"), many].concat());
    read_head(&mut socket);
    for nonce in 0..150 {
        assert_eq!(socket.until_type("pong")["nonce"], nonce);
    }

    let mut socket = room.server.raw();
    socket.write(&[handshake("/ws/g/wrong-at-once"), RawSocket::frame(TEXT, b"\xff")].concat());
    read_head(&mut socket);
    assert_eq!(socket.close_code(), 1007);
    assert_eq!(room.server.wait_for_end_of("wrong-at-once")["cause"], "invalid_utf8");
    room.plays_on();
}

fn handshake(path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

fn read_head(socket: &mut RawSocket) {
    use std::io::Read as _;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        socket.0.read_exact(&mut byte).expect("the handshake's answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
}
