//! Owns the tests of subscribers that read slowly or not at all (H6).

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpStream},
};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{Rig, data, up_to};
use crate::support::{Client, PATIENCE, RawSocket};

const TOPICS: usize = 40;
const OUTBOX_BYTES: u64 = 256 * 1024;
const VALUE_BYTES: usize = 2000;

fn names() -> Vec<String> {
    (0..TOPICS).map(|n| format!("T.O:{n}")).collect()
}

fn rig() -> Rig {
    Rig::with(&[], &[("OUTBOX_BYTES", "256k")])
}

/// A client whose kernel keeps little for it, from the start: it does not read until it is told to.
struct Sleeper(RawSocket);

impl Sleeper {
    fn new(rig: &Rig, topics: &[&str]) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small window");
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], rig.server.port)).into()).expect("the server accepts");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        let mut sleeper = RawSocket(stream).upgrade("/ws/options");
        let subscribe = json!({"type": "subscribe", "topics": topics});
        sleeper.write(&RawSocket::frame(0x81, subscribe.to_string().as_bytes()));
        sleeper.until_type("subscribed");
        Self(sleeper)
    }

    fn next(&mut self) -> Value {
        let (first, payload) = self.0.next_frame().expect("a frame");
        assert_eq!(first, 0x81, "{payload:?}");
        serde_json::from_slice(&payload).expect("frames are JSON")
    }

    /// What it reads until it has the value `newest` of every topic.
    fn wake(&mut self, topics: &[&str], newest: u64) -> Vec<Value> {
        let mut frames = Vec::new();
        let mut seen = BTreeMap::<String, (u64, u64)>::new();
        while !topics.iter().all(|topic| seen.get(*topic).is_some_and(|(_, n)| *n == newest)) {
            let frame = self.next();
            if frame["type"] == "data" {
                let now = (frame["seq"].as_u64().expect("a seq"), frame["data"]["n"].as_u64().expect("a number"));
                let before = seen.insert(frame["topic"].as_str().expect("a topic").to_owned(), now);
                assert!(before.is_none_or(|before| before.0 < now.0 && before.1 < now.1), "{before:?}, then {now:?}");
            }
            frames.push(frame);
        }
        frames
    }
}

/// One value of every topic, which `quick` has seen when this returns.
fn publish_round(rig: &Rig, quick: &mut Client, topics: &[&str], n: u64) {
    let fields = json!({"n": n, "pad": "x".repeat(VALUE_BYTES)});
    rig.fake.publish_all(&topics.iter().map(|topic| (*topic, fields.clone())).collect::<Vec<_>>());
    let mut left = topics.len();
    while left > 0 {
        let frame = quick.until_type("data");
        assert_eq!(frame["data"]["n"], n, "who reads is not kept waiting, and misses nothing");
        left -= 1;
    }
}

#[test]
fn h6_who_does_not_read_costs_no_more_than_the_newest_values_and_gets_them_when_it_reads_again() {
    const ROUNDS: u64 = 300;
    let rig = rig();
    let names = names();
    let topics: Vec<_> = names.iter().map(String::as_str).collect();
    let mut quick = rig.subscriber(&topics);
    let mut slow: Vec<_> = (0..5).map(|_| Sleeper::new(&rig, &topics)).collect();
    publish_round(&rig, &mut quick, &topics, 1);
    let before = rig.server.resident_bytes();
    let mut queued = Vec::new();
    for n in 2..=ROUNDS {
        publish_round(&rig, &mut quick, &topics, n);
        queued.push(rig.server.metric("innkeeper_outbox_bytes"));
    }
    let grown = rig.server.resident_bytes().saturating_sub(before);
    let whole = ROUNDS * (TOPICS * VALUE_BYTES * slow.len()) as u64;
    let bound = OUTBOX_BYTES * (slow.len() + 1) as u64;
    let most = queued.iter().copied().fold(0.0, f64::max);
    assert!(most > (TOPICS * VALUE_BYTES) as f64, "the slow ones were never behind: {queued:?}");
    assert!(most <= bound as f64, "queued past the bounds: {most}");
    assert!(grown < 24 << 20 && grown < whole / 4, "grew by {grown} bytes while {whole} were not read");
    for slow in &mut slow {
        let frames = slow.wake(&topics, ROUNDS);
        // What the kernel had taken before, and one of each since.
        assert!(frames.len() < ROUNDS as usize * TOPICS / 4, "{} frames were queued", frames.len());
    }
    // And from now on it is as quick as the others.
    publish_round(&rig, &mut quick, &topics, ROUNDS + 1);
    for slow in &mut slow {
        let frames = slow.wake(&topics, ROUNDS + 1);
        assert_eq!(frames.iter().filter(|frame| frame["type"] == "data").count(), TOPICS, "one each");
    }
    assert_eq!(rig.server.metric(r#"innkeeper_disconnects_total{cause="too_slow"}"#), 0.0);
    rig.fake.assert_tidy();
}

#[test]
fn h6_who_does_not_read_is_told_of_the_gap_all_the_same_once_and_before_what_is_fresh() {
    let rig = rig();
    let names = names();
    let topics: Vec<_> = names.iter().map(String::as_str).collect();
    let mut quick = rig.subscriber(&topics);
    let mut slow = Sleeper::new(&rig, &topics);
    let rounds = |from: u64, quick: &mut Client| {
        (from..from + 60).for_each(|n| publish_round(&rig, quick, &topics, n));
    };
    rounds(1, &mut quick);
    rig.fake.cut();
    rig.fake.wait_for_ever(2);
    rig.fake.wait("all topics", |desk| (desk.topics().len() == TOPICS).then_some(()));
    rounds(1001, &mut quick);
    let frames = slow.wake(&topics, 1060);
    let gaps: Vec<_> = frames.iter().filter(|frame| frame["type"] == "gap").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["topics"].as_array().map(Vec::len), Some(TOPICS), "{}", gaps[0]);
    let gap = frames.iter().position(|frame| frame["type"] == "gap");
    let fresh = frames.iter().position(|frame| frame["data"]["n"].as_u64() > Some(1000));
    assert!(gap < fresh, "the gap is number {gap:?}, the first fresh value number {fresh:?}");
}

#[test]
fn h6_a_feed_that_comes_and_goes_does_not_fill_the_queue_of_who_does_not_read() {
    let rig = rig();
    let mut quick = rig.subscriber(&["T.O:A"]);
    let mut slow = Sleeper::new(&rig, &["T.O:A"]);
    rig.fake.publish("T.O:A", json!({"n": 0, "pad": "x".repeat(100_000)}));
    data(&mut quick, "T.O:A");
    for n in 1..=150 {
        rig.fake.cut();
        rig.fake.wait_for_ever(n + 1);
        rig.fake.wait_for_topics(&["T.O:A"]);
        rig.fake.publish("T.O:A", json!({"n": n, "pad": "x".repeat(100_000)}));
        up_to(&mut quick, "T.O:A", n as u64);
    }
    let frames = slow.wake(&["T.O:A"], 150);
    let bytes: usize = frames.iter().map(|frame| frame.to_string().len()).sum();
    assert!(bytes < 150 * 100_000 / 2, "{bytes} bytes in {} frames", frames.len());
    let told: Vec<_> = frames.iter().filter(|frame| frame["type"] == "feed").collect();
    assert!(told.last().is_none_or(|frame| frame["state"] == "live"), "what is true now comes last: {told:?}");
    assert_eq!(rig.server.metric(r#"innkeeper_disconnects_total{cause="too_slow"}"#), 0.0);
}
