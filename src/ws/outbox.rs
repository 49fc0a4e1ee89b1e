//! Owns one client's outgoing frames: the queue, its bound (S6), conflation of volatile values
//! (S8), and the one cause of the connection's end.

use std::{
    cell::{Cell, OnceCell, RefCell},
    io::{self, IoSlice},
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

use super::{
    conflated::VolatileKey,
    errors::Errors,
    flow::ReadFlow,
    flush::Flusher,
    frame::{self, Frame},
    queue::{Class, FrameQueue, MAX_SLICES},
};
use crate::protocol::Cause;

/// The queue between a room, hub or proxy and one socket. Lives on one shard; shared as `Rc`.
///
/// Invariant: after `close` only the closing frames are added, and `cause` never changes again.
pub struct Outbox {
    pub(super) queue: RefCell<FrameQueue>,
    sink: Box<dyn ByteSink>,
    pub(super) flusher: Rc<Flusher>,
    /// `OUTBOX_BYTES`: the bound of `FrameQueue::bytes`.
    pub(super) max_bytes: usize,
    /// The outbox is on the flusher's list.
    dirty: Cell<bool>,
    cause: Cell<Option<Cause>>,
    /// The shape of this client's `error` frames.
    pub(super) errors: Cell<Errors>,
    /// Microseconds from the last ping to its pong; [`UNKNOWN`] before the first pong.
    latency: Cell<u32>,
    /// The connection's task, woken when the outbox closes or the socket blocks.
    reader: RefCell<Option<Waker>>,
    /// Flow control of a proxy's connection, created at its first use. Players and subscribers, of
    /// whom there are many, have none.
    pub(super) flow: OnceCell<Box<RefCell<ReadFlow>>>,
}

const UNKNOWN: u32 = u32::MAX;

/// Takes bytes without waiting: a socket, or a test's valve.
pub trait ByteSink {
    /// # Errors
    /// Returns `WouldBlock` if it can take nothing now; any other error ends the connection.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// The result of one flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flushed {
    pub frames: usize,
    pub bytes: usize,
    /// How long the oldest frame waited from its creation to its write, if the flush emptied the
    /// queue.
    pub waited: Option<Duration>,
}

impl Outbox {
    pub fn new(sink: Box<dyn ByteSink>, flusher: Rc<Flusher>, max_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::default(),
            sink,
            flusher,
            max_bytes,
            dirty: Cell::new(false),
            cause: Cell::new(None),
            errors: Cell::default(),
            latency: Cell::new(UNKNOWN),
            reader: RefCell::new(None),
            flow: OnceCell::new(),
        })
    }

    /// Queues a frame in order; the flusher writes it at the end of this event-loop turn. Past the
    /// bound, closes the client with [`Cause::TooSlow`] and releases its queue (S6).
    pub fn push(self: &Rc<Self>, frame: Frame, made: Instant) {
        if self.hold(frame, made) {
            self.mark_dirty();
        }
    }

    /// As `push`, but leaves the write to a later [`Outbox::mark_dirty`], for rooms with a flush
    /// interval. Returns true if there is something to write that the socket would take.
    pub fn hold(self: &Rc<Self>, frame: Frame, made: Instant) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_over(frame.len(), self.max_bytes) {
            // The frames of this turn alone may exceed the bound. Whether the client is slow only
            // shows when they are written.
            drop(queue);
            self.flusher.flush(self);
            if self.cause.get().is_some() {
                return false;
            }
            queue = self.queue.borrow_mut();
            if queue.is_over(frame.len(), self.max_bytes) {
                drop(queue);
                self.close(Cause::TooSlow, None);
                return false;
            }
        }
        self.flusher.stats().queued(frame.len() as i64, 1);
        self.append(&mut queue, frame, Class::Live, made);
        !queue.blocked
    }

    /// Queues one of the frames that bring a client up to date when it joins, in order, whatever
    /// its size: these must not close a client that was away for long.
    pub fn push_catch_up(self: &Rc<Self>, frame: Frame, made: Instant) {
        if self.cause.get().is_some() {
            return;
        }
        self.flusher.stats().queued(frame.len() as i64, 1);
        self.append(&mut self.queue.borrow_mut(), frame, Class::CatchUp, made);
        self.mark_dirty();
    }

    /// Queues a value of which only the newest matters (S8). Never closes the client. Returns true
    /// if there is something to write.
    pub fn hold_volatile(self: &Rc<Self>, key: &VolatileKey, frame: Frame, made: Instant) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.keeps_up(frame.len(), self.max_bytes) {
            self.flusher.stats().queued(frame.len() as i64, 1);
            self.append(&mut queue, frame, Class::Volatile, made);
            return true;
        }
        let (bytes, frames) = queue.conflate(key, frame, self.max_bytes);
        self.flusher.stats().queued(bytes, frames);
        false
    }

    /// Queues an update of a feed's topic (H6). A client that keeps up gets `live`. For another,
    /// `whole` replaces everything of this key that still waits, so no step of an incremental value
    /// is lost unnoticed. Updates with the same `made` belong together: a client that kept up at
    /// the first of them gets them all as `live`, within the bound. No topic's value displaces
    /// another's: past the bound, the client is closed with [`Cause::TooSlow`]. Returns true if
    /// there is something to write.
    pub fn hold_topic(
        self: &Rc<Self>,
        key: &VolatileKey,
        live: &Frame,
        whole: impl FnOnce() -> Frame,
        made: Instant,
    ) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        let mut queue = self.queue.borrow_mut();
        if queue.is_much(live.len(), self.max_bytes) {
            // The updates of this turn alone may exceed the bound: write them first.
            drop(queue);
            self.flusher.flush(self);
            if self.cause.get().is_some() {
                return false;
            }
            queue = self.queue.borrow_mut();
        }
        if queue.takes_topic(live.len(), self.max_bytes, made) {
            self.flusher.stats().queued(live.len() as i64, 1);
            self.append(&mut queue, live.clone(), Class::Volatile, made);
            return !queue.blocked;
        }
        let whole = whole();
        drop(queue);
        self.hold_behind(Some(key), whole);
        false
    }

    /// As `push`, but behind the conflated values, because this frame refers to them (H4). Past the
    /// bound, closes the client with [`Cause::TooSlow`].
    pub fn push_behind(self: &Rc<Self>, frame: Frame, made: Instant) {
        let has_conflated = self.queue.borrow().has_conflated();
        if !has_conflated {
            self.push(frame, made);
        } else if self.cause.get().is_none() {
            self.hold_behind(None, frame);
        }
    }

    fn hold_behind(self: &Rc<Self>, key: Option<&VolatileKey>, frame: Frame) {
        let mut queue = self.queue.borrow_mut();
        if !queue.has_place(key, frame.len(), self.max_bytes) {
            drop(queue);
            self.close(Cause::TooSlow, None);
            return;
        }
        let (bytes, frames) = queue.replace(key, frame);
        self.flusher.stats().queued(bytes, frames);
    }

    /// Drops the conflated value of this key.
    pub fn forget(&self, key: &VolatileKey) {
        let (bytes, frames) = self.queue.borrow_mut().forget(key);
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
    }

    /// Puts the outbox on the flusher's list, to be written at the end of this event-loop turn.
    pub fn mark_dirty(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            self.flusher.add(self.clone());
        }
    }

    /// Ends the connection: queues `last`, if any, and a close frame for `cause`, and accepts no
    /// frame after that. The first cause wins; returns true if this was the first.
    pub fn close(self: &Rc<Self>, cause: Cause, last: Option<Frame>) -> bool {
        self.close_with(cause, cause.name(), last)
    }

    /// As `close`, with an `error` frame before it whose code is the cause's name (A8). `message`
    /// is for people.
    pub fn refuse(self: &Rc<Self>, cause: Cause, message: &str) -> bool {
        self.refuse_with(cause, cause.name(), message)
    }

    /// As `refuse`, with another error code.
    pub fn refuse_with(self: &Rc<Self>, cause: Cause, code: &str, message: &str) -> bool {
        self.close(cause, self.errors().frame(code, message, None))
    }

    pub fn errors(&self) -> Errors {
        self.errors.get()
    }

    /// As `close`, with another close reason, for example that of a proxy's upstream.
    pub fn close_with(self: &Rc<Self>, cause: Cause, reason: &str, last: Option<Frame>) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        self.cause.set(Some(cause));
        let mut queue = self.queue.borrow_mut();
        let (bytes, frames) = if cause == Cause::TooSlow { queue.release() } else { queue.forget_conflated() };
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
        let now = Instant::now();
        for frame in last.into_iter().chain([frame::close(cause.code(), reason)]) {
            self.flusher.stats().queued(frame.len() as i64, 1);
            self.append(&mut queue, frame, Class::CatchUp, now);
        }
        drop(queue);
        self.mark_dirty();
        self.wake_reader();
        self.wake_upstream();
        true
    }

    /// Why the connection ended; `None` while it is open.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    /// Returns true if the socket stopped taking bytes. The reader then waits for writability and
    /// flushes.
    pub fn is_blocked(&self) -> bool {
        self.queue.borrow().blocked
    }

    pub fn is_empty(&self) -> bool {
        self.queue.borrow().frames.is_empty()
    }

    /// Bytes that are not written yet, and the number of their frames.
    pub fn backlog(&self) -> (usize, usize) {
        self.queue.borrow().backlog()
    }

    /// Time from the last ping to its pong, at most 71 minutes; `None` before the first pong.
    pub fn latency(&self) -> Option<Duration> {
        Some(self.latency.get()).filter(|micros| *micros != UNKNOWN).map(|micros| Duration::from_micros(micros.into()))
    }

    pub fn note_latency(&self, latency: Duration) {
        self.latency.set(u32::try_from(latency.as_micros()).unwrap_or(UNKNOWN).min(UNKNOWN - 1));
    }

    /// Sets the connection's task, which is woken on close and when the socket blocks.
    pub fn set_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        match &*reader {
            Some(known) if known.will_wake(waker) => {}
            _ => *reader = Some(waker.clone()),
        }
    }

    /// Writes what the sink takes now. The flusher calls this, and the reader when the socket is
    /// writable again. A failing sink ends the connection with [`Cause::ConnectionLost`].
    pub fn flush(&self) -> Flushed {
        self.dirty.set(false);
        let mut flushed = Flushed::default();
        let mut failed = false;
        let mut queue = self.queue.borrow_mut();
        queue.blocked = false;
        while !queue.frames.is_empty() {
            let result = if queue.frames.len() == 1 {
                self.sink.try_write_vectored(&[queue.first_slice()])
            } else {
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
        self.wake_upstream();
        if stalled {
            self.wake_reader();
        }
        flushed
    }

    pub(super) fn append(&self, queue: &mut FrameQueue, frame: Frame, class: Class, made: Instant) {
        if queue.frames.capacity() == 0 {
            queue.frames = self.flusher.lend();
        }
        queue.append(frame, class, made);
    }

    pub(super) fn wake_reader(&self) {
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

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
