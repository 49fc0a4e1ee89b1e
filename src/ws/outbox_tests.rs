//! Owns the tests of the outbox's bounds against a sink that takes what it is told to take.
//! Run by `cargo test`.

use super::*;
use crate::observe::metrics::Metrics;

/// Takes `room` bytes, then no more.
#[derive(Default)]
struct Valve {
    room: Cell<usize>,
    taken: RefCell<Vec<u8>>,
}

impl Sink for Rc<Valve> {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            let part = &slice[..slice.len().min(self.room.get())];
            self.taken.borrow_mut().extend_from_slice(part);
            self.room.set(self.room.get() - part.len());
            written += part.len();
        }
        if written > 0 { Ok(written) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

const MAX_BYTES: usize = 100;

fn outbox() -> (Rc<Outbox>, Rc<Valve>) {
    let valve = Rc::<Valve>::default();
    let flusher = Flusher::new(Metrics::new("test").shard());
    (Outbox::new(Box::new(valve.clone()), flusher, MAX_BYTES), valve)
}

fn key(name: &str) -> VolatileKey {
    ("alice".into(), name.into())
}

/// Queues `length` bytes of `byte` as the newest value of `name`.
fn value(outbox: &Rc<Outbox>, name: &str, byte: u8, length: usize) -> bool {
    outbox.hold_volatile(&key(name), Bytes::from(vec![byte; length]), Instant::now())
}

fn open(outbox: &Outbox, valve: &Valve) -> Vec<u8> {
    valve.room.set(usize::MAX);
    outbox.flush();
    valve.taken.take()
}

#[test]
fn s8_conflated_values_are_bounded_in_bytes_and_the_newest_stay() {
    let (outbox, valve) = outbox();
    outbox.push(Bytes::from_static(b"-"), Instant::now());
    outbox.flush();
    for byte in 0..100 {
        value(&outbox, &byte.to_string(), byte, 30);
    }
    assert!(outbox.cause().is_none());
    let expected: Vec<u8> = [vec![b'-'], vec![97; 30], vec![98; 30], vec![99; 30]].concat();
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
    // Too long for what is left, then one that would fit.
    value(&outbox, "b", 2, 60);
    value(&outbox, "b", 3, 10);
    assert_eq!(open(&outbox, &valve), [vec![1; 60], vec![3; 10]].concat());
}

#[test]
fn s6_past_the_bound_the_queue_is_released_but_a_frame_that_is_half_written_ends_before_the_close() {
    let (outbox, valve) = outbox();
    valve.room.set(5);
    outbox.push(Bytes::from_static(b"0123456789"), Instant::now());
    outbox.flush();
    for _ in 0..10 {
        outbox.push(Bytes::from(vec![b'x'; 20]), Instant::now());
    }
    assert_eq!(outbox.cause(), Some(Cause::TooSlow));
    let sent = open(&outbox, &valve);
    assert_eq!(sent, [b"0123456789", &frame::close(4008, "too_slow")[..]].concat());
}
