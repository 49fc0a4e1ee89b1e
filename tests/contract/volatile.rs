//! Owns the tests of volatile values (S8).

use crate::support::{Client, Server};
use serde_json::{Value, json};

/// Frames as fast as a test likes.
const FAST: [(&str, &str); 4] =
    [("MESSAGE_RATE", "1000000"), ("MESSAGE_BURST", "1000000"), ("BYTE_RATE", "1024m"), ("BYTE_BURST", "1024m")];

#[test]
fn s8_a_volatile_message_has_neither_seq_nor_id_and_everybody_sees_it() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    alice.next();
    alice.send(&json!({"type": "send", "volatile": "cursor", "id": 5, "data": {"x": 1}}));
    let seen = json!({"type": "message", "from": "alice", "volatile": "cursor", "data": {"x": 1}});
    assert_eq!(alice.next(), seen);
    assert_eq!(bob.next(), seen);
    alice.send(&json!({"type": "send", "id": 5, "data": 2}));
    let next = bob.next();
    assert_eq!((&next["seq"], &next["id"]), (&json!(3), &json!(5)), "neither a seq nor an id was used up");
}

#[test]
fn s8_a_volatile_message_may_be_private() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    let mut carol = server.connect("/ws/g/carol").welcomed();
    alice.drain();
    alice.send(&json!({"type": "send", "volatile": "cursor", "data": 1, "to": ["bob"]}));
    assert_eq!((alice.drain().len(), bob.drain().len(), carol.drain().len()), (1, 2, 0));
}

#[test]
fn s8_a_volatile_message_is_never_replayed() {
    let server = Server::start(&[]);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let bob = server.connect("/ws/g/bob").welcomed();
    let path = format!("/ws/g/bob?session={}&seq=2", bob.session());
    bob.cut();
    alice.until(|frame| frame["status"] == "away");
    alice.send(&json!({"type": "send", "volatile": "cursor", "data": 1}));
    alice.send(&json!({"type": "send", "data": 2}));
    alice.drain();
    let mut bob = server.connect(&path).welcomed();
    let missed = bob.drain();
    assert_eq!(missed.iter().filter_map(|frame| frame["seq"].as_u64()).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(missed.len(), 3);
}

#[test]
fn s8_a_reader_that_keeps_up_gets_every_value_in_order() {
    let server = Server::start(&FAST);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    for n in 0..300 {
        alice.send(&json!({"type": "send", "volatile": "n", "data": n}));
    }
    for n in 0..300 {
        assert_eq!(bob.next()["data"], n);
    }
}

/// Sends `values` of `name`, 4 KiB each and numbered, until they have all gone through the room.
fn pour(alice: &mut Client, name: &str, values: std::ops::Range<usize>) {
    let padding = "x".repeat(4096);
    for n in values {
        alice.send(&json!({"type": "send", "volatile": name, "data": {"n": n, "padding": padding}}));
        // What comes back is read, so that the sender itself is not slow.
        alice.until(|frame| frame["volatile"] == *name && frame["data"]["n"] == n);
    }
}

#[test]
fn s8_a_slow_reader_gets_the_newest_value_of_each_name_and_is_never_closed_for_it() {
    let mut settings = FAST.to_vec();
    settings.push(("OUTBOX_BYTES", "70k"));
    let server = Server::start(&settings);
    let mut alice = server.connect("/ws/g/alice").welcomed();
    let mut bob = server.connect("/ws/g/bob").welcomed();
    socket2::SockRef::from(bob.stream()).set_recv_buffer_size(16 * 1024).expect("a smaller buffer");
    // Far more than the kernel's buffers and the outbox take together.
    const POURED: usize = 4000;
    pour(&mut alice, "a", 0..POURED);
    pour(&mut alice, "b", 0..10);
    pour(&mut alice, "a", POURED..POURED + 1);
    // Ordered frames still reach a reader that is behind with volatile ones.
    alice.send(&json!({"type": "send", "id": 1, "data": "ordered"}));
    alice.until(|frame| frame["data"] == "ordered");
    let (mut seen, mut newest) = (0, json!({}));
    let mut ordered = false;
    while newest != json!({"a": POURED, "b": 9}) || !ordered {
        let frame: Value = bob.next();
        ordered |= frame["data"] == "ordered";
        if let Some(name) = frame["volatile"].as_str() {
            let (before, now) = (newest[name].as_u64(), frame["data"]["n"].as_u64());
            assert!(before < now, "an older value came after a newer one: {before:?}, {now:?}");
            newest[name] = json!(now);
            seen += 1;
        }
    }
    assert!(seen < POURED, "all {seen} values were kept");
    assert!(bob.drain().is_empty());
    assert_eq!(server.metric(r#"innkeeper_disconnects_total{cause="too_slow"}"#), 0.0);
}
