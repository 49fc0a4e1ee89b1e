//! Owns a proxy's flow control: the upstream waits while the client is slow, and the client waits
//! while the upstream is slow (X2) or while it is ahead of its rate (S5a).
//!
//! The two directions never wait for each other: a paused reader still writes, and a full outbox
//! still reads.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{frame::Frame, outbox::Outbox, queue::Class};

#[derive(Default)]
pub(super) struct ReadFlow {
    /// Nothing is read from the client while this contains a reason.
    pauses: Vec<Pause>,
    /// Invariant: `Some` exactly while `pauses` is not empty.
    paused_since: Option<Instant>,
    /// Length of the pauses that ended since the last [`Outbox::take_pause`].
    paused_for: Duration,
    /// The task to wake when at most this many bytes of the upstream wait.
    waiting: Option<(usize, Waker)>,
}

/// Why nothing is read from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The queue to the upstream is full.
    Queue,
    /// The client is ahead of its rate.
    Rate,
}

impl Outbox {
    /// Queues a frame of the upstream. Never closes the client: call [`Outbox::poll_room`] before
    /// reading the next one.
    pub fn push_relayed(self: &Rc<Self>, frame: Frame, made: Instant) {
        if self.cause().is_some() {
            return;
        }
        self.flusher.stats().queued(frame.len() as i64, 1);
        self.append(&mut self.queue.borrow_mut(), frame, Class::Relayed, made);
        self.mark_dirty();
    }

    /// Number of upstream frames that the kernel has taken.
    pub fn relayed_written(&self) -> u64 {
        self.queue.borrow().relayed_written
    }

    /// Drops the upstream's frames of which nothing is written yet. Returns how many upstream
    /// frames the client gets on this connection in total.
    pub fn release_relayed(&self) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let begun = queue.relayed_begun();
        let (bytes, frames) = queue.release_relayed();
        drop(queue);
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
        begun
    }

    /// Ready while less than `OUTBOX_BYTES` of the upstream wait, or if the connection is over. A
    /// task that had to wait is woken at half of that. One task may wait for an outbox.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let waiting = self.queue.borrow().relayed_bytes;
        self.poll_relayed(waiting < self.max_bytes, self.max_bytes / 2, context)
    }

    /// Ready if nothing of the upstream waits, or if the connection is over.
    pub fn poll_drained(&self, context: &mut Context<'_>) -> Poll<()> {
        let waiting = self.queue.borrow().relayed_bytes;
        self.poll_relayed(waiting == 0, 0, context)
    }

    fn flow(&self) -> &RefCell<ReadFlow> {
        self.flow.get_or_init(Box::default)
    }

    fn poll_relayed(&self, is_ready: bool, wanted: usize, context: &mut Context<'_>) -> Poll<()> {
        if is_ready || self.cause().is_some() {
            return Poll::Ready(());
        }
        self.flow().borrow_mut().waiting = Some((wanted, context.waker().clone()));
        Poll::Pending
    }

    /// Wakes the waiting task if few enough bytes wait, or if the connection is over.
    pub(super) fn wake_upstream(&self) {
        let Some(flow) = self.flow.get() else { return };
        let waiting = self.queue.borrow().relayed_bytes;
        let mut flow = flow.borrow_mut();
        let is_over = self.cause().is_some();
        if let Some((_, waker)) = flow.waiting.take_if(|(wanted, _)| is_over || waiting <= *wanted) {
            drop(flow);
            waker.wake();
        }
    }

    /// Adds or removes a reason for not reading from the client.
    pub fn pause_reading(&self, reason: Pause, pause: bool) {
        let mut flow = self.flow().borrow_mut();
        flow.pauses.retain(|known| *known != reason);
        if pause {
            flow.pauses.push(reason);
        }
        match flow.paused_since {
            None if pause => flow.paused_since = Some(Instant::now()),
            Some(since) if flow.pauses.is_empty() => {
                flow.paused_since = None;
                flow.paused_for += since.elapsed().max(Duration::from_nanos(1));
                drop(flow);
                self.wake_reader();
            }
            _ => {}
        }
    }

    pub(super) fn is_reading_paused(&self) -> bool {
        self.flow.get().is_some_and(|flow| flow.borrow().paused_since.is_some())
    }

    /// Returns how long the client was not read since the last call; `None` if it was read all the
    /// time.
    pub fn take_pause(&self, now: Instant) -> Option<Duration> {
        let mut flow = self.flow.get()?.borrow_mut();
        let mut paused = std::mem::take(&mut flow.paused_for);
        let is_paused = flow.paused_since.is_some();
        if let Some(since) = &mut flow.paused_since {
            paused += now.saturating_duration_since(*since);
            *since = now.max(*since);
        }
        (is_paused || !paused.is_zero()).then_some(paused)
    }
}
