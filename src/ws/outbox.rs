//! Owns one client's outgoing frames: the queue, its bound (S6), conflation of volatile values (S8), and the one cause of the end.
//! Called by `room` and `connection`, which push and close; emptied by the shard's `Flusher` and the connection's `Reader`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{flush::Flusher, frame};
use crate::protocol::Cause;

/// Frames handed to one vectored write. Linux takes 1024; past 64 the call's own price no longer matters.
const MAX_SLICES: usize = 64;
/// Distinct volatile values kept for a client that does not keep up, within `OUTBOX_BYTES` of their own; the least
/// recently changed makes room (S8).
const MAX_VOLATILE: usize = 256;

/// What identifies a volatile value: its sender and its name.
pub type VolatileKey = (Rc<str>, Rc<str>);

/// The queue between a room and one socket. Lives on one shard; shared as `Rc`.
///
/// Invariant: after `close` nothing but the closing frames is added, and `cause` never changes again.
pub struct Outbox {
    queue: RefCell<Queue>,
    sink: Box<dyn Sink>,
    flusher: Rc<Flusher>,
    /// `OUTBOX_BYTES`: the bound of `Queue::bytes`.
    max_bytes: usize,
    /// In the flusher's list already.
    dirty: Cell<bool>,
    cause: Cell<Option<Cause>>,
    /// The connection's task, woken when the outbox is closed or the socket stops taking bytes.
    reader: RefCell<Option<Waker>>,
}

#[derive(Default)]
struct Queue {
    frames: Frames,
    /// Bytes of the first frame that are on the wire already.
    written: usize,
    /// Queued bytes of live frames; volatile ones are counted apart, so they alone never close anybody.
    bytes: usize,
    volatile_bytes: usize,
    /// Newest value of each volatile key, for a client that does not keep up; the least recently changed first.
    volatile: VecDeque<(VolatileKey, Bytes)>,
    /// Bytes of `volatile`.
    conflated_bytes: usize,
    /// The socket took less than it was offered; only writability starts it again.
    blocked: bool,
    /// When the oldest queued frame was made.
    since: Option<Instant>,
}

/// Frames on their way, oldest first.
pub(super) type Frames = VecDeque<Entry>;

pub(super) struct Entry {
    frame: Bytes,
    class: Class,
}

/// What a frame counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `OUTBOX_BYTES`.
    Live,
    /// Nothing: a welcome and what follows it are bounded by the state and the history, and share their memory.
    CatchUp,
    /// A bound of its own; past it values are conflated (S8).
    Volatile,
}

/// Something that takes bytes without waiting; a socket, or a test.
pub trait Sink {
    /// # Errors
    /// `WouldBlock` when nothing can be taken now; anything else ends the connection.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// What one flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    pub frames: usize,
    pub bytes: usize,
    /// From the making of the oldest frame to its write, when the queue was emptied.
    pub waited: Option<Duration>,
}

impl Outbox {
    pub fn new(sink: Box<dyn Sink>, flusher: Rc<Flusher>, max_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::default(),
            sink,
            flusher,
            max_bytes,
            dirty: Cell::new(false),
            cause: Cell::new(None),
            reader: RefCell::new(None),
        })
    }

    /// Queues a frame in order, to be written at the end of this event-loop turn.
    /// Past the bound the client is closed with [`Cause::TooSlow`] and its queue released (S6).
    pub fn push(self: &Rc<Self>, frame: Bytes, made: Instant) {
        if self.hold(frame, made) {
            self.mark_dirty();
        }
    }

    /// As `push`, but leaves the write to a later [`Outbox::mark_dirty`]: a room with a flush interval.
    /// Returns whether there is something to write that the socket would take.
    pub fn hold(self: &Rc<Self>, frame: Bytes, made: Instant) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        // One frame always fits: a bound below the longest message must not close a client that keeps up.
        if queue.bytes > 0 && queue.bytes + frame.len() > self.max_bytes {
            drop(queue);
            self.close(Cause::TooSlow, None);
            return false;
        }
        self.flusher.stats().queued(frame.len() as i64, 1);
        self.append(&mut queue, frame, Class::Live, made);
        !queue.blocked
    }

    /// Queues a part of what a client gets when it enters, in order, whatever its size: a client that was away for
    /// long must not be closed for the very frames that bring it up to date.
    pub fn push_catch_up(self: &Rc<Self>, frame: Bytes, made: Instant) {
        if self.cause.get().is_some() {
            return;
        }
        self.flusher.stats().queued(frame.len() as i64, 1);
        self.append(&mut self.queue.borrow_mut(), frame, Class::CatchUp, made);
        self.mark_dirty();
    }

    /// Queues a value of which only the newest matters (S8). Never closes the client.
    /// Returns whether there is something to write.
    pub fn hold_volatile(self: &Rc<Self>, key: &VolatileKey, frame: Bytes, made: Instant) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        // Behind conflated values nothing may overtake: an older value of the same key would come after this one.
        let keeps_up = !queue.blocked && queue.volatile.is_empty();
        if keeps_up && (queue.volatile_bytes == 0 || queue.volatile_bytes + frame.len() <= self.max_bytes) {
            self.flusher.stats().queued(frame.len() as i64, 1);
            self.append(&mut queue, frame, Class::Volatile, made);
            return true;
        }
        let (bytes, frames) = queue.conflate(key, frame, self.max_bytes);
        self.flusher.stats().queued(bytes, frames);
        false
    }

    /// Puts the outbox on the flusher's list; the frames go out at the end of this event-loop turn.
    pub fn mark_dirty(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            self.flusher.add(self.clone());
        }
    }

    /// Ends the connection: a last frame, if any, then a close frame for `cause`; then nothing more is taken.
    /// The first cause wins. Returns whether this was the first.
    pub fn close(self: &Rc<Self>, cause: Cause, last: Option<Bytes>) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        self.cause.set(Some(cause));
        let mut queue = self.queue.borrow_mut();
        let (bytes, frames) = if cause == Cause::TooSlow { queue.release() } else { queue.forget_conflated() };
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
        let now = Instant::now();
        for frame in last.into_iter().chain([frame::close(cause.code(), cause.name())]) {
            self.flusher.stats().queued(frame.len() as i64, 1);
            self.append(&mut queue, frame, Class::CatchUp, now);
        }
        drop(queue);
        self.mark_dirty();
        self.wake_reader();
        true
    }

    /// Why the connection ended, once it has.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    /// Whether the socket stopped taking bytes; the reader then waits for writability and flushes.
    pub fn is_blocked(&self) -> bool {
        self.queue.borrow().blocked
    }

    pub fn is_empty(&self) -> bool {
        self.queue.borrow().frames.is_empty()
    }

    /// The connection's task, to be woken on close and when the socket blocks.
    pub fn set_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        match &*reader {
            Some(known) if known.will_wake(waker) => {}
            _ => *reader = Some(waker.clone()),
        }
    }

    /// Writes what the sink takes now. Called by the flusher, and by the reader when the socket is writable again.
    /// A sink that fails ends the connection with [`Cause::ConnectionLost`].
    pub fn flush(&self) -> Flushed {
        self.dirty.set(false);
        let mut flushed = Flushed::default();
        let mut failed = false;
        let mut queue = self.queue.borrow_mut();
        queue.blocked = false;
        while !queue.frames.is_empty() {
            let result = {
                let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                let count = queue.gather(&mut slices);
                self.sink.try_write_vectored(&slices[..count])
            };
            match result {
                Ok(written) if written > 0 => {
                    flushed.bytes += written;
                    flushed.frames += queue.advance(written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    queue.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        let stats = self.flusher.stats();
        stats.queued(-(flushed.bytes as i64), -(flushed.frames as i64));
        if failed {
            let (bytes, frames) = queue.release_all();
            stats.queued(-(bytes as i64), -(frames as i64));
            self.cause.set(self.cause.get().or(Some(Cause::ConnectionLost)));
        }
        if queue.frames.is_empty() {
            flushed.waited = queue.since.take().map(|since| since.elapsed());
            self.flusher.give_back(std::mem::take(&mut queue.frames));
        }
        let stalled = queue.blocked || failed;
        drop(queue);
        if stalled {
            self.wake_reader();
        }
        flushed
    }

    fn append(&self, queue: &mut Queue, frame: Bytes, class: Class, made: Instant) {
        if queue.frames.capacity() == 0 {
            queue.frames = self.flusher.lend();
        }
        queue.append(frame, class, made);
    }

    fn wake_reader(&self) {
        if let Some(waker) = &*self.reader.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let (bytes, frames) = self.queue.get_mut().release_all();
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
    }
}

impl Queue {
    fn append(&mut self, frame: Bytes, class: Class, made: Instant) {
        self.since.get_or_insert(made);
        if let Some(count) = self.count(class) {
            *count += frame.len();
        }
        self.frames.push_back(Entry { frame, class });
    }

    fn count(&mut self, class: Class) -> Option<&mut usize> {
        match class {
            Class::Live => Some(&mut self.bytes),
            Class::Volatile => Some(&mut self.volatile_bytes),
            Class::CatchUp => None,
        }
    }

    /// Keeps the newest value of each key, and of these the newest that fit `max_bytes`, this one in any case.
    /// Returns by how many bytes and frames the queue grew.
    fn conflate(&mut self, key: &VolatileKey, frame: Bytes, max_bytes: usize) -> (i64, i64) {
        let before = (self.conflated_bytes as i64, self.volatile.len() as i64);
        if let Some(known) = self.volatile.iter().position(|(known, _)| known == key)
            && let Some((_, value)) = self.volatile.remove(known)
        {
            self.conflated_bytes -= value.len();
        }
        while self.volatile.len() == MAX_VOLATILE || self.conflated_bytes + frame.len() > max_bytes {
            let Some((_, value)) = self.volatile.pop_front() else { break };
            self.conflated_bytes -= value.len();
        }
        self.conflated_bytes += frame.len();
        self.volatile.push_back((key.clone(), frame));
        (self.conflated_bytes as i64 - before.0, self.volatile.len() as i64 - before.1)
    }

    fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        for (slice, entry) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&entry.frame[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// Drops `written` bytes from the front; returns how many frames that finished.
    fn advance(&mut self, written: usize) -> usize {
        let mut left = self.written + written;
        let mut frames = 0;
        while let Some(entry) = self.frames.front() {
            let length = entry.frame.len();
            if left < length {
                break;
            }
            left -= length;
            frames += 1;
            let class = entry.class;
            if let Some(count) = self.count(class) {
                *count -= length;
            }
            self.frames.pop_front();
        }
        self.written = left;
        // Volatile values wait until everything ordered is out, then the newest of each goes.
        if self.frames.is_empty() {
            self.conflated_bytes = 0;
            for (_, frame) in std::mem::take(&mut self.volatile) {
                self.volatile_bytes += frame.len();
                self.frames.push_back(Entry { frame, class: Class::Volatile });
            }
        }
        frames
    }

    /// Drops all frames but one that is partly written: its rest must follow, or the peer loses the framing.
    fn release(&mut self) -> (usize, usize) {
        let written = std::mem::take(&mut self.written);
        let partial = if written > 0 { self.frames.pop_front() } else { None };
        let released = self.release_all();
        if let Some(entry) = partial {
            self.written = written;
            self.append(entry.frame, entry.class, Instant::now());
        }
        released
    }

    /// Conflated values go out last; behind a close frame nothing may (RFC 6455 section 5.5.1).
    fn forget_conflated(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.conflated_bytes), std::mem::take(&mut self.volatile).len())
    }

    fn release_all(&mut self) -> (usize, usize) {
        let ordered: usize = self.frames.iter().map(|entry| entry.frame.len()).sum();
        let volatile: usize = self.volatile.iter().map(|(_, frame)| frame.len()).sum();
        let queued = ordered + volatile;
        let frames = self.frames.len() + self.volatile.len();
        let written = self.written;
        *self = Self { blocked: self.blocked, ..Self::default() };
        (queued.saturating_sub(written), frames)
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
