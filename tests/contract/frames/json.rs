//! Owns the tests of frames whose JSON is wrong, deep or huge (P2).

use super::*;

#[test]
fn p2_a_binary_frame_gets_the_error_unsupported_and_the_connection_lives() {
    let room = Room::open(&[]);
    let mut intruder = room.intruder();
    intruder.socket.write(&[RawSocket::frame(BINARY, b"\xff\x00"), ping(1)].concat());
    assert_eq!(intruder.socket.until_type("error")["code"], "unsupported");
    assert_eq!(intruder.socket.until_type("pong")["nonce"], 1);
    room.plays_on();
}

/// Sends `frames`, each of which must get an `error` with this code; then shows that the connection
/// lives.
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
