//! Owns the tests of what a proxy session keeps for a client that comes back, and for how long.

use std::{rc::Rc, time::Duration};

use proptest::prelude::*;

use super::{Client, OUTBOX_BYTES, World, config, frames};
use crate::{
    config::ProxyConfig,
    protocol::Cause,
    ws::{Outbox, frame, valve::Valve},
};

#[test]
fn what_a_client_acknowledges_is_kept_no_longer_but_for_a_small_part() {
    const ROOM: usize = 1 << 20;
    let mut world = World::new(ProxyConfig { resume_bytes: ROOM, ..config() });
    world.outbox_bytes = ROOM;
    let client = world.attach(1, None);
    let message = "x".repeat(10_000);
    let kept = || world.metrics.history_bytes.get() as usize;
    let mut bytes = Vec::new();
    for _ in 0..200 {
        world.receive(&message);
        bytes.extend(client.got());
    }
    let pings = frames_of(&mut bytes).into_iter().filter_map(|(first, payload)| (first == PING).then_some(payload));
    let pings: Vec<_> = pings.collect();
    assert_eq!(pings.len(), 50, "one for each 32 KiB");
    assert!(kept() > ROOM / 2 - 3 * 10_000, "whoever does not answer is kept half of the room: {}", kept());
    for wrong in [&b"seq=201"[..], b"seq=", b"seq=-1", b"201", b"\xff", b"", &7_u64.to_be_bytes()] {
        assert!(!world.session.acknowledge(1, wrong), "{wrong:?}");
    }
    assert!(!world.session.acknowledge(2, &pings[49]), "another connection");
    assert!(world.session.acknowledge(1, &pings[48]));
    assert!(kept() <= ROOM / 8 + 2 * 32 * 1024, "{}", kept());
    assert!(!world.session.acknowledge(1, &pings[48]) && !world.session.acknowledge(1, &pings[3]), "each counts once");
    for (at, ping) in pings.iter().enumerate().skip(49) {
        assert!(world.session.acknowledge(1, ping), "{at}");
    }
    assert!(kept() <= ROOM / 8 && kept() > ROOM / 8 - 2 * 10_000, "{}", kept());
    world.session.detach(1);
    let back = world.attach(2, Some(195));
    assert_eq!(back.got(), [frames(&[message.as_str(); 5]), frame::ping(b"seq=200").to_vec()].concat());
    let World { session, metrics, .. } = world;
    drop(session);
    assert_eq!(metrics.history_bytes.get(), 0);
}

#[test]
fn what_a_socket_has_not_taken_is_not_forgotten_whatever_its_client_claims() {
    let mut world = World::new(ProxyConfig { resume_bytes: 1 << 16, ..config() });
    world.outbox_bytes = 1 << 20;
    let client = world.attach(1, None);
    client.valve.room.set(0);
    let message = "x".repeat(10_000);
    (0..20).for_each(|_| assert!(world.receive(&message)));
    assert!(world.session.acknowledge(1, b"seq=20"), "asked, and answered before it was sent");
    client.outbox.close(Cause::ConnectionLost, None);
    world.session.detach(1);
    let back = world.attach(2, Some(0));
    let got = frames_of(&mut back.got());
    assert_eq!(got.iter().filter(|(first, _)| *first == TEXT).count(), 20);
}

#[test]
fn whoever_cannot_come_back_is_not_asked_what_it_received() {
    let world = World::new(ProxyConfig { resume: Duration::ZERO, ..config() });
    let client = world.attach(1, None);
    let message = "x".repeat(100_000);
    world.receive(&message);
    assert_eq!(client.got(), frames(&[&message]));
}

/// What happens to a session; lengths are in units of [`SCALE`].
#[derive(Debug, Clone)]
enum Happening {
    /// The upstream sends one more message of this length.
    Tell(usize),
    /// The client's socket takes this much.
    Take(usize),
    /// The client answers the newest ping that it has received.
    Answer,
    Cut,
    /// The client comes (back), or takes over; it may claim less than what was written.
    Come {
        forgets: u64,
        says_seq: bool,
    },
}

/// Large enough that clients are asked now and then what they have received.
const SCALE: usize = 300;
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (1usize..60).prop_map(Happening::Tell),
        6 => (0usize..200).prop_map(Happening::Take),
        3 => Just(Happening::Answer),
        1 => Just(Happening::Cut),
        2 => (0u64..3, any::<bool>()).prop_map(|(forgets, says_seq)| Happening::Come { forgets, says_seq }),
    ]
}

/// Returns the complete frames at the start of `bytes`, each with its first byte; the rest stays.
fn frames_of(bytes: &mut Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while let [first, length, rest @ ..] = &bytes[at..] {
        let (header, length) = match (length, rest) {
            (126, [high, low, ..]) => (4, u16::from_be_bytes([*high, *low]).into()),
            (126.., _) => break,
            (length, _) => (2, usize::from(*length)),
        };
        let Some(payload) = bytes.get(at + header..at + header + length) else { break };
        frames.push((*first, payload.to_vec()));
        at += header + length;
    }
    bytes.drain(..at);
    frames
}

proptest! {
    /// A client that counts its frames gets every number once and in order, over all its
    /// connections, as long as it does not claim less than it has; and what waits for it is
    /// bounded.
    #[test]
    fn whatever_happens_a_client_gets_every_frame_once_in_order(happenings in prop::collection::vec(happening(), 1..120)) {
        const ROOM: usize = 300 * SCALE;
        let mut world = World::new(ProxyConfig { resume_bytes: ROOM, ..config() });
        world.outbox_bytes = OUTBOX_BYTES * SCALE;
        let mut client = world.attach(1, None);
        let (mut received, mut seen, mut connection, mut bytes, mut ping) = (0_u64, 0_u64, 1, Vec::new(), None);
        for happening in happenings {
            match happening {
                Happening::Tell(length) => {
                    let mut message = (received + 1).to_string();
                    message.push_str(&".".repeat(length * SCALE));
                    if world.receive(&message) {
                        received += 1;
                    }
                }
                Happening::Take(room) => {
                    client.valve.room.set(room * SCALE);
                    bytes.extend(client.got());
                    client.valve.room.set(0);
                    for (first, payload) in frames_of(&mut bytes) {
                        match first {
                            TEXT => prop_assert_eq!(number(&payload), seen + 1),
                            PING => ping = Some(payload),
                            // A close frame.
                            _ => {}
                        }
                        seen += u64::from(first == TEXT);
                    }
                    prop_assert!(client.outbox.backlog().0 <= ROOM + (OUTBOX_BYTES + 130) * SCALE);
                }
                Happening::Answer => {
                    if let Some(ping) = ping.take() {
                        world.session.acknowledge(connection, &ping);
                    }
                }
                Happening::Cut => {
                    client.outbox.close(Cause::ConnectionLost, None);
                    world.session.detach(connection);
                }
                Happening::Come { forgets, says_seq } => {
                    connection += 1;
                    // Without a `seq` the session must know itself how much was written; the client
                    // does not have a frame that was only begun.
                    let is_whole = bytes.is_empty();
                    let claim = (says_seq || !is_whole).then(|| seen.saturating_sub(forgets));
                    let (mut missed, mut newest) = (0, 0);
                    let valve = Rc::<Valve>::default();
                    let outbox = Outbox::new(Box::new(valve.clone()), world.flusher.clone(), world.outbox_bytes);
                    world.session.attach((connection, std::net::Ipv4Addr::LOCALHOST.into()), &outbox, claim, |reception| {
                        (missed, newest) = (reception.missed.next, reception.newest);
                        None
                    });
                    prop_assert_eq!(newest, received);
                    let from = claim.unwrap_or(seen) + 1;
                    prop_assert!(missed >= from && missed <= seen + 1, "{} for {:?} of {}", missed, claim, seen);
                    client = Client { connection, outbox, valve };
                    bytes.clear();
                    ping = None;
                    seen = missed - 1;
                }
            }
        }
        client.valve.room.set(usize::MAX);
        if client.outbox.cause().is_none() {
            bytes.extend(client.got());
            for (_, payload) in frames_of(&mut bytes).into_iter().filter(|(first, _)| *first == TEXT) {
                prop_assert_eq!(number(&payload), seen + 1);
                seen += 1;
            }
            prop_assert_eq!(seen, received);
        }
    }
}

fn number(payload: &[u8]) -> u64 {
    let digits = payload.split(|byte| *byte == b'.').next().expect("at least one part");
    std::str::from_utf8(digits).expect("text").parse().expect("a number")
}
