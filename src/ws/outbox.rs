//! Owns one client's outgoing frames: the one way in, with its policies and bound (S6, S8, H6), the
//! way out to the socket, and the one cause of the connection's end.

mod conflated;
mod flow;
mod policy;
mod queue;

use std::{
    cell::{Cell, OnceCell, RefCell},
    io::{self, IoSlice},
    rc::Rc,
    task::Waker,
    time::{Duration, Instant},
};

pub(super) use self::queue::Frames;
pub(crate) use self::{
    flow::Pause,
    policy::{Policy, Timing, ValueKey},
};
use self::{
    flow::ReadFlow,
    queue::{Class, FrameQueue, MAX_SLICES},
};
use super::{
    errors::Errors,
    flush::Flusher,
    frame::{self, Frame},
};
use crate::protocol::Cause;

/// The queue between a room, hub or proxy and one socket. Lives on one shard; shared as `Rc`.
///
/// Invariant: after `close` only the closing frames are added, and `cause` never changes again.
pub(crate) struct Outbox {
    queue: RefCell<FrameQueue>,
    sink: Box<dyn ByteSink>,
    flusher: Rc<Flusher>,
    /// `OUTBOX_BYTES`.
    max_bytes: usize,
    /// The outbox is on the flusher's list.
    dirty: Cell<bool>,
    cause: Cell<Option<Cause>>,
    /// Closed in this event-loop turn.
    is_fresh: Cell<bool>,
    /// The shape of this client's `error` frames.
    errors: Cell<Errors>,
    /// Microseconds from the last ping to its pong; [`UNKNOWN`] before the first pong.
    latency: Cell<u32>,
    /// The connection's task, woken when the outbox closes or the socket blocks.
    reader: RefCell<Option<Waker>>,
    /// Created at its first use: most connections have neither paced frames nor pauses.
    flow: OnceCell<Box<RefCell<ReadFlow>>>,
}

const UNKNOWN: u32 = u32::MAX;

/// Takes bytes without waiting: a socket, or a test's valve.
pub(crate) trait ByteSink {
    /// # Errors
    /// Returns `WouldBlock` if it can take nothing now; any other error ends the connection.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
}

/// The result of one flush.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Flushed {
    pub frames: usize,
    pub bytes: usize,
    /// How long the oldest frame waited from its creation to its write, if the flush emptied the
    /// queue.
    pub waited: Option<Duration>,
}

impl Outbox {
    pub(crate) fn new(sink: Box<dyn ByteSink>, flusher: Rc<Flusher>, max_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::default(),
            sink,
            flusher,
            max_bytes,
            dirty: Cell::new(false),
            cause: Cell::new(None),
            is_fresh: Cell::new(false),
            errors: Cell::default(),
            latency: Cell::new(UNKNOWN),
            reader: RefCell::new(None),
            flow: OnceCell::new(),
        })
    }

    /// Queues a frame, unless the connection is over. The flusher writes it at the end of this
    /// event-loop turn, unless `timing` holds it back.
    pub(crate) fn queue(self: &Rc<Self>, frame: Frame, policy: Policy<'_>, timing: impl Into<Timing>) {
        let Timing { made, is_held } = timing.into();
        if self.cause.get().is_some() {
            return;
        }
        match policy {
            Policy::Live => self.queue_live(frame, made),
            Policy::CatchUp => self.append(&mut self.queue.borrow_mut(), frame, Class::CatchUp, made),
            Policy::Paced => self.append(&mut self.queue.borrow_mut(), frame, Class::Paced, made),
            Policy::Behind if self.queue.borrow().has_conflated() => self.queue_behind(None, frame),
            Policy::Behind => self.queue_live(frame, made),
            Policy::Newest(key) => self.queue_newest(key, frame, made),
            Policy::Update { key, whole } => self.queue_update(key, frame, whole, made),
        }
        // A blocked socket is flushed when it is writable again.
        if !is_held && !self.is_blocked() {
            self.mark_dirty();
        }
    }

    fn queue_live(self: &Rc<Self>, frame: Frame, made: Instant) {
        let cost = frame::cost(frame.len());
        if self.queue.borrow().is_over(cost, self.max_bytes) {
            // The frames of this turn alone may exceed the bound. Whether the client is slow only
            // shows when they are written.
            self.flusher.flush(self);
            if self.cause.get().is_some() {
                return;
            }
            if self.queue.borrow().is_over(cost, self.max_bytes) {
                self.close(Cause::TooSlow, None);
                return;
            }
        }
        self.append(&mut self.queue.borrow_mut(), frame, Class::Live, made);
    }

    fn queue_newest(&self, key: &ValueKey, frame: Frame, made: Instant) {
        let mut queue = self.queue.borrow_mut();
        if queue.keeps_up(frame::cost(frame.len()), self.max_bytes) {
            self.append(&mut queue, frame, Class::Volatile, made);
        } else {
            let (bytes, frames) = queue.conflate(key, frame, self.max_bytes);
            self.flusher.stats().queued(bytes, frames);
        }
    }

    fn queue_update(self: &Rc<Self>, key: &ValueKey, live: Frame, whole: &mut dyn FnMut() -> Frame, made: Instant) {
        let cost = frame::cost(live.len());
        if self.queue.borrow().is_much(cost, self.max_bytes) {
            // The updates of this turn alone may exceed the bound: write them first.
            self.flusher.flush(self);
            if self.cause.get().is_some() {
                return;
            }
        }
        let mut queue = self.queue.borrow_mut();
        if queue.takes_update(cost, self.max_bytes, made) {
            self.append(&mut queue, live, Class::Volatile, made);
        } else {
            drop(queue);
            self.queue_behind(Some(key), whole());
        }
    }

    fn queue_behind(self: &Rc<Self>, key: Option<&ValueKey>, frame: Frame) {
        let mut queue = self.queue.borrow_mut();
        if queue.has_room(key, frame::cost(frame.len()), self.max_bytes) {
            let (bytes, frames) = queue.replace(key, frame);
            self.flusher.stats().queued(bytes, frames);
        } else {
            drop(queue);
            self.close(Cause::TooSlow, None);
        }
    }

    fn append(&self, queue: &mut FrameQueue, frame: Frame, class: Class, made: Instant) {
        self.flusher.stats().queued(frame.len() as i64, 1);
        if queue.needs_slots() {
            queue.use_slots(self.flusher.lend());
        }
        queue.append(frame, class, made);
    }

    /// Drops the conflated value of this key.
    pub(crate) fn forget(&self, key: &ValueKey) {
        let (bytes, frames) = self.queue.borrow_mut().forget(key);
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
    }

    /// Returns true if held frames wait for [`Outbox::write_held`], and the socket would take them.
    pub(crate) fn is_held(&self) -> bool {
        !self.dirty.get() && !self.is_blocked() && !self.is_empty()
    }

    /// Has the flusher write the held frames at the end of this event-loop turn.
    pub(crate) fn write_held(self: &Rc<Self>) {
        if !self.is_empty() {
            self.mark_dirty();
        }
    }

    fn mark_dirty(self: &Rc<Self>) {
        if !self.dirty.replace(true) {
            self.flusher.add(self.clone());
        }
    }

    /// Ends the connection: queues `last`, if any, and a close frame for `cause`, and accepts no
    /// frame after that. The first cause wins; returns true if this was the first.
    pub(crate) fn close(self: &Rc<Self>, cause: Cause, last: Option<Frame>) -> bool {
        self.close_with(cause, cause.name(), last)
    }

    /// As `close`, with an `error` frame before it whose code is the cause's name (A8). `message`
    /// is for people.
    pub(crate) fn refuse(self: &Rc<Self>, cause: Cause, message: &str) -> bool {
        self.refuse_with(cause, cause.name(), message)
    }

    /// As `refuse`, with another error code.
    pub(crate) fn refuse_with(self: &Rc<Self>, cause: Cause, code: &str, message: &str) -> bool {
        self.close(cause, self.errors().frame(code, message, None))
    }

    pub(crate) fn errors(&self) -> Errors {
        self.errors.get()
    }

    pub(super) fn set_errors(&self, errors: Errors) {
        self.errors.set(errors);
    }

    /// `OUTBOX_BYTES`.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// As `close`, with another close reason, for example that of a proxy's upstream.
    pub(crate) fn close_with(self: &Rc<Self>, cause: Cause, reason: &str, last: Option<Frame>) -> bool {
        if self.cause.get().is_some() {
            return false;
        }
        self.cause.set(Some(cause));
        self.is_fresh.set(true);
        let mut queue = self.queue.borrow_mut();
        let (bytes, frames) = if cause == Cause::TooSlow { queue.release() } else { queue.forget_conflated() };
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
        let now = Instant::now();
        for frame in last.into_iter().chain([frame::close(cause.code(), reason)]) {
            self.append(&mut queue, frame, Class::CatchUp, now);
        }
        drop(queue);
        self.mark_dirty();
        self.wake_reader();
        self.wake_sender();
        true
    }

    /// Returns true once, in the turn in which the outbox was closed.
    pub(super) fn take_fresh(&self) -> bool {
        self.is_fresh.take()
    }

    /// Why the connection ended; `None` while it is open.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.cause.get()
    }

    /// Returns true if the socket stopped taking bytes. The reader then waits for writability and
    /// flushes.
    pub(crate) fn is_blocked(&self) -> bool {
        self.queue.borrow().is_blocked()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Bytes that are not written yet, and the number of their frames.
    pub(crate) fn backlog(&self) -> (usize, usize) {
        self.queue.borrow().backlog()
    }

    /// Time from the last ping to its pong, at most 71 minutes; `None` before the first pong.
    pub(crate) fn latency(&self) -> Option<Duration> {
        Some(self.latency.get()).filter(|micros| *micros != UNKNOWN).map(|micros| Duration::from_micros(micros.into()))
    }

    pub(crate) fn note_latency(&self, latency: Duration) {
        self.latency.set(u32::try_from(latency.as_micros()).unwrap_or(UNKNOWN).min(UNKNOWN - 1));
    }

    /// Sets the connection's task, which is woken on close and when the socket blocks.
    pub(crate) fn set_reader(&self, waker: &Waker) {
        let mut reader = self.reader.borrow_mut();
        match &*reader {
            Some(known) if known.will_wake(waker) => {}
            _ => *reader = Some(waker.clone()),
        }
    }

    /// Writes what the sink takes now. The flusher calls this, and the reader when the socket is
    /// writable again. A failing sink ends the connection with [`Cause::ConnectionLost`].
    pub(crate) fn flush(&self) -> Flushed {
        self.dirty.set(false);
        let mut flushed = Flushed::default();
        let mut failed = false;
        let mut queue = self.queue.borrow_mut();
        queue.set_blocked(false);
        while !queue.is_empty() {
            let result = if let Some(slice) = queue.only_slice() {
                self.sink.try_write_vectored(&[slice])
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
                    queue.set_blocked(true);
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
        if queue.is_empty() {
            let (slots, since) = queue.finish();
            flushed.waited = since.map(|since| since.elapsed());
            self.flusher.give_back(slots);
        }
        let stalled = queue.is_blocked() || failed;
        drop(queue);
        self.wake_sender();
        if stalled {
            self.wake_reader();
        }
        flushed
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

#[cfg(test)]
mod tests;
