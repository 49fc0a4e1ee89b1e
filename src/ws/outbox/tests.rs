//! Owns the tests of the outbox's bounds, with a sink that takes a set number of bytes.

mod ends;
mod topics;

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::Arc,
    task::Context,
};

use proptest::prelude::*;

use super::*;
use crate::{observe::metrics::Metrics, protocol::PlayerId, ws::valve::Valve};

const MAX_BYTES: usize = 180;

fn outbox() -> (Rc<Outbox>, Rc<Valve>) {
    outbox_of(MAX_BYTES)
}

fn outbox_of(max_bytes: usize) -> (Rc<Outbox>, Rc<Valve>) {
    let valve = Rc::<Valve>::default();
    let flusher = Flusher::new(Metrics::new("test").shard());
    (Outbox::new(Box::new(valve.clone()), flusher, max_bytes), valve)
}

fn key(name: &str) -> ValueKey {
    ValueKey::Volatile { from: PlayerId::parse("alice").expect("an id"), name: name.into() }
}

fn push(outbox: &Rc<Outbox>, frame: impl Into<Frame>) {
    outbox.queue(frame.into(), Policy::Live, Instant::now());
}

/// Queues `length` bytes of `byte` as the newest value of `name`. Returns true if they are queued
/// in order.
fn value(outbox: &Rc<Outbox>, name: &str, byte: u8, length: usize) -> bool {
    outbox.queue(Frame::from(vec![byte; length]), Policy::Newest(&key(name)), Instant::now());
    !outbox.queue.borrow().has_conflated()
}

fn open(outbox: &Outbox, valve: &Valve) -> Vec<u8> {
    valve.room.set(usize::MAX);
    outbox.flush();
    valve.taken.take()
}

#[test]
fn s8_conflated_values_are_bounded_in_bytes_and_the_newest_stay() {
    let (outbox, valve) = outbox();
    push(&outbox, &b"-"[..]);
    outbox.flush();
    for byte in 0..100 {
        value(&outbox, &byte.to_string(), byte, 10);
    }
    assert!(outbox.cause().is_none());
    let expected: Vec<u8> = [vec![b'-'], vec![97; 10], vec![98; 10], vec![99; 10]].concat();
    assert_eq!(open(&outbox, &valve), expected);
}

#[test]
fn s8_a_value_longer_than_the_bound_reaches_a_client_that_keeps_up() {
    let (outbox, valve) = outbox();
    assert!(value(&outbox, "x", 1, 3 * MAX_BYTES));
    assert_eq!(open(&outbox, &valve).len(), 3 * MAX_BYTES);
}

#[test]
fn s8_a_value_never_comes_after_a_newer_one_of_its_key() {
    let (outbox, valve) = outbox();
    value(&outbox, "a", 1, 60);
    // One too long for what is left, then one that would fit.
    value(&outbox, "b", 2, 60);
    value(&outbox, "b", 3, 10);
    assert_eq!(open(&outbox, &valve), [vec![1; 60], vec![3; 10]].concat());
}

#[test]
fn s8_a_client_that_does_not_read_holds_the_newest_256_volatile_values() {
    let (outbox, valve) = outbox_of(1 << 20);
    push(&outbox, &b"-"[..]);
    outbox.flush();
    for name in 0..300 {
        assert!(!value(&outbox, &name.to_string(), 0, 0));
    }
    assert_eq!(outbox.backlog().1, 257);
    open(&outbox, &valve);
}

#[test]
fn s6_past_the_bound_the_queue_is_released_but_a_frame_that_is_half_written_ends_before_the_close() {
    let (outbox, valve) = outbox();
    valve.room.set(5);
    push(&outbox, &b"0123456789"[..]);
    outbox.flush();
    for _ in 0..10 {
        push(&outbox, vec![b'x'; 20]);
    }
    assert_eq!(outbox.cause(), Some(Cause::TooSlow));
    let sent = open(&outbox, &valve);
    assert_eq!(sent, [b"0123456789", &frame::close(4008, "too_slow")[..]].concat());
}

#[test]
fn s6_a_million_tiny_frames_respect_the_bound() {
    let (outbox, _valve) = outbox_of(1 << 20);
    let count = (0..1_000_000).take_while(|_| {
        push(&outbox, [b'x']);
        outbox.cause().is_none()
    });
    let count = count.count();
    assert_eq!(outbox.cause(), Some(Cause::TooSlow));
    assert!((15_000..25_000).contains(&count), "{count} frames in 1 MiB");
}

#[test]
fn a_held_frame_waits_for_the_write_of_what_is_held_or_for_the_next_frame_that_is_not() {
    let model = Model::new();
    model.valve.room.set(usize::MAX);
    let held = Timing { made: Instant::now(), is_held: true };
    for release in [false, true] {
        model.outbox.queue([b'a'].into(), Policy::Live, held);
        model.turn();
        assert!(model.outbox.is_held() && model.valve.taken.borrow().is_empty());
        if release {
            model.outbox.write_held();
        } else {
            push(&model.outbox, [b'b']);
        }
        assert!(!model.outbox.is_held());
        model.turn();
        assert_eq!(model.valve.taken.take(), if release { &b"a"[..] } else { b"ab" });
    }
}

#[test]
fn x2_an_upstreams_frames_without_a_payload_fill_the_outbox_too_and_are_given_back_in_full() {
    let (outbox, valve) = outbox();
    let has_room = |outbox: &Outbox| {
        outbox.poll_paced(MAX_BYTES - 1, MAX_BYTES / 2, &mut Context::from_waker(Waker::noop())).is_ready()
    };
    let mut count = 0;
    while has_room(&outbox) && count < 1000 {
        outbox.queue(Frame::from([0x81, 0]), Policy::Paced, Instant::now());
        count += 1;
    }
    assert!(count <= 4, "{count} frames in {MAX_BYTES} bytes");
    assert_eq!(outbox.backlog(), (2 * count, count));
    open(&outbox, &valve);
    assert!(has_room(&outbox) && outbox.backlog() == (0, 0));
    valve.room.set(1);
    (0..3).for_each(|_| outbox.queue(Frame::from([0x81, 0]), Policy::Paced, Instant::now()));
    outbox.flush();
    assert_eq!(outbox.release_paced(), count as u64 + 1, "the one that is begun goes out");
    assert_eq!(outbox.backlog(), (1, 1));
    open(&outbox, &valve);
    assert_eq!(outbox.queue.borrow().paced_cost(), 0);
}

/// An event for an outbox.
#[derive(Debug, Clone)]
enum Happening {
    Push(usize),
    CatchUp(usize),
    Volatile(u8, usize),
    /// The end of an event-loop turn.
    Turn,
    /// The socket takes this many more bytes.
    Take(usize),
    Close,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0usize..40).prop_map(Happening::Push),
        1 => (0usize..60).prop_map(Happening::CatchUp),
        6 => (0u8..3, 0usize..28).prop_map(|(key, length)| Happening::Volatile(key, length)),
        4 => Just(Happening::Turn),
        4 => (0usize..120).prop_map(Happening::Take),
        1 => Just(Happening::Close),
    ]
}

/// The newest values of all keys that happen fit this: none is ever dropped.
const MODEL_BYTES: usize = 3 * frame::cost(3 + 28);

/// An outbox, its sink, and a model of the output.
struct Model {
    metrics: Arc<Metrics>,
    flusher: Rc<Flusher>,
    outbox: Rc<Outbox>,
    valve: Rc<Valve>,
    next: u8,
    /// The ordered frames, and which of them count towards the bound.
    ordered: VecDeque<(Vec<u8>, bool)>,
    newest: HashMap<u8, u8>,
    got: HashMap<u8, u8>,
    ended: Option<Vec<u8>>,
}

impl Model {
    fn new() -> Self {
        let metrics = Metrics::new("test");
        let (flusher, valve) = (Flusher::new(metrics.shard()), Rc::<Valve>::default());
        let outbox = Outbox::new(Box::new(valve.clone()), flusher.clone(), MODEL_BYTES);
        let (ordered, newest, got) = Default::default();
        Self { metrics, flusher, outbox, valve, next: 0, ordered, newest, got, ended: None }
    }

    /// A frame contains its class or key, number and length.
    fn frame(&mut self, class: u8, length: usize) -> Vec<u8> {
        self.next += 1;
        [vec![class, self.next, length as u8], vec![0xff; length]].concat()
    }

    fn happen(&mut self, happening: &Happening) {
        let now = Instant::now();
        match *happening {
            Happening::Push(length) => {
                let frame = self.frame(b'P', length);
                let open = self.outbox.cause().is_none();
                self.outbox.queue(frame.clone().into(), Policy::Live, now);
                // The outbox tries the socket before it closes a client as too slow; what the
                // socket took no longer counts.
                self.look();
                let queued = self.live_cost();
                let too_slow = open && queued > 0 && queued + frame::cost(frame.len()) > MODEL_BYTES;
                assert_eq!(open && self.outbox.cause() == Some(Cause::TooSlow), too_slow, "{queued} are queued");
                assert!(!too_slow || self.valve.room.get() == 0, "the socket would have taken more");
                if too_slow {
                    self.ended = Some(frame::close(4008, "too_slow").to_vec());
                } else if open {
                    self.ordered.push_back((frame, true));
                }
            }
            Happening::CatchUp(length) => {
                let frame = self.frame(b'P', length);
                self.outbox.queue(frame.clone().into(), Policy::CatchUp, now);
                if self.outbox.cause().is_none() {
                    self.ordered.push_back((frame, false));
                }
            }
            Happening::Volatile(name, length) => {
                let frame = self.frame(name, length);
                self.outbox.queue(frame.into(), Policy::Newest(&key(&name.to_string())), now);
                if self.outbox.cause().is_none() {
                    self.newest.insert(name, self.next);
                }
            }
            Happening::Turn => self.turn(),
            Happening::Take(bytes) => {
                self.valve.room.set(bytes);
                self.turn();
                if self.outbox.is_blocked() {
                    self.outbox.flush();
                }
            }
            Happening::Close => {
                let last = self.frame(b'P', 5);
                if self.outbox.close(Cause::Left, Some(last.clone().into())) {
                    self.ordered.push_back((last, false));
                    self.ended = Some(frame::close(1000, "left").to_vec());
                }
            }
        }
        self.look();
    }

    fn live_cost(&self) -> usize {
        self.ordered.iter().filter(|(_, live)| *live).map(|(frame, _)| frame::cost(frame.len())).sum()
    }

    fn turn(&self) {
        // A close takes a second round.
        for _ in 0..2 {
            let _ = pin!(self.flusher.clone().run()).poll(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Compares the complete frames that came out with the model.
    fn look(&mut self) {
        let mut taken = self.valve.taken.borrow_mut();
        loop {
            let length = match taken[..] {
                [0x88, length, ..] => 2 + usize::from(length),
                [_, _, length, ..] => 3 + usize::from(length),
                _ => return,
            };
            if taken.len() < length {
                return;
            }
            let frame: Vec<u8> = taken.drain(..length).collect();
            match frame[0] {
                0x88 => {
                    assert_eq!(Some(&frame), self.ended.as_ref(), "the close frame");
                    assert!(taken.is_empty(), "nothing follows a close frame");
                    self.ordered.clear();
                }
                b'P' => assert_eq!(Some(frame), self.ordered.pop_front().map(|(frame, _)| frame)),
                name => assert!(self.got.insert(name, frame[1]) < Some(frame[1]), "an old value after a newer"),
            }
        }
    }

    fn queued(&self) -> (f64, f64) {
        self.flusher.stats().publish();
        let text = self.metrics.encode();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a metric");
            line.trim().parse().expect("a number")
        };
        (value("innkeeper_outbox_bytes "), value("innkeeper_outbox_frames "))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s6_s8_ordered_frames_keep_their_order_the_newest_values_arrive_and_nothing_follows_a_close(
        happenings in proptest::collection::vec(happening(), 1..60),
        drained in any::<bool>(),
    ) {
        let mut model = Model::new();
        happenings.iter().for_each(|happening| model.happen(happening));
        if drained {
            model.happen(&Happening::Take(usize::MAX));
            model.happen(&Happening::Take(usize::MAX));
            assert!(model.ordered.is_empty() && model.valve.taken.borrow().is_empty());
            assert!(model.ended.is_some() || model.got == model.newest, "{:?} of {:?}", model.got, model.newest);
            assert_eq!(model.queued(), (0.0, 0.0), "all was written");
        }
        model.turn();
        model.outbox = Outbox::new(Box::new(model.valve.clone()), model.flusher.clone(), MODEL_BYTES);
        assert_eq!(model.queued(), (0.0, 0.0), "what an outbox still held when it was dropped is not queued any more");
    }
}

#[test]
fn s6_a_closed_outbox_keeps_only_what_the_peer_needs_to_read_why() {
    let mut model = Model::new();
    model.happen(&Happening::Push(30));
    model.happen(&Happening::Take(10));
    for happening in [Happening::Push(30), Happening::Volatile(0, 20), Happening::CatchUp(50), Happening::Push(36)] {
        model.happen(&happening);
    }
    assert_eq!(model.outbox.cause(), Some(Cause::TooSlow));
    let close = frame::close(4008, "too_slow").len();
    assert_eq!(model.queued(), ((33 - 10 + close) as f64, 2.0), "the rest of the first frame, and the close");
    model.happen(&Happening::Push(1));
    model.happen(&Happening::Volatile(0, 1));
    assert_eq!(model.queued().1, 2.0, "nothing is taken any more");
    assert!(!model.outbox.close(Cause::Left, None), "the first cause stays");
}

#[test]
fn s6_what_a_client_is_owed_when_it_enters_never_closes_it() {
    let mut model = Model::new();
    (0..50).for_each(|_| model.happen(&Happening::CatchUp(50)));
    model.happen(&Happening::Push(30));
    assert_eq!(model.outbox.cause(), None);
    model.happen(&Happening::Take(usize::MAX));
    assert!(model.ordered.is_empty());
}
