//! Owns the tests of bytes that break RFC 6455 or a bound (S4, S5, P2, close 1002, 1007, 1008,
//! 1009, 4029).

mod json;
mod sizes;

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
