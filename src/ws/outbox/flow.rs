//! Owns the flow control of an outbox: a sender of paced frames waits while too many are queued,
//! and the client is not read while there is a reason for it.
//!
//! The two directions never wait for each other: a paused reader still writes, and a full outbox
//! still reads.

use std::{
    cell::RefCell,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::Outbox;

#[derive(Default)]
pub(super) struct ReadFlow {
    /// Nothing is read from the client while this contains a reason.
    pauses: Vec<Pause>,
    /// Invariant: `Some` exactly while `pauses` is not empty.
    paused_since: Option<Instant>,
    /// Length of the pauses that ended since the last [`Outbox::take_pause`].
    paused_for: Duration,
    /// The task to wake when the paced frames that wait cost at most this much.
    waiting: Option<(usize, Waker)>,
}

/// Why nothing is read from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The queue of what is read is full.
    Queue,
    /// The client is ahead of its rate.
    Rate,
}

impl Outbox {
    /// Number of paced frames that the kernel has taken, over the connection's life.
    pub(crate) fn paced_written(&self) -> u64 {
        self.queue.borrow().paced_written()
    }

    /// Drops the paced frames of which nothing is written yet. Returns how many paced frames the
    /// client gets on this connection in total.
    pub(crate) fn release_paced(&self) -> u64 {
        let mut queue = self.queue.borrow_mut();
        let begun = queue.paced_begun();
        let (bytes, frames) = queue.release_paced();
        drop(queue);
        self.flusher.stats().queued(-(bytes as i64), -(frames as i64));
        begun
    }

    /// Ready while the paced frames that wait cost at most `most`, or if the connection is over. A
    /// task that has to wait is woken when they cost at most `wanted`. One task may wait.
    pub(crate) fn poll_paced(&self, most: usize, wanted: usize, context: &mut Context<'_>) -> Poll<()> {
        if self.queue.borrow().paced_cost() <= most || self.cause().is_some() {
            return Poll::Ready(());
        }
        self.flow().borrow_mut().waiting = Some((wanted, context.waker().clone()));
        Poll::Pending
    }

    fn flow(&self) -> &RefCell<ReadFlow> {
        self.flow.get_or_init(Box::default)
    }

    /// Wakes the waiting sender if few enough paced frames wait, or if the connection is over.
    pub(super) fn wake_sender(&self) {
        let Some(flow) = self.flow.get() else { return };
        let waiting = self.queue.borrow().paced_cost();
        let mut flow = flow.borrow_mut();
        let is_over = self.cause().is_some();
        if let Some((_, waker)) = flow.waiting.take_if(|(wanted, _)| is_over || waiting <= *wanted) {
            drop(flow);
            waker.wake();
        }
    }

    /// Adds or removes a reason for not reading from the client.
    pub(crate) fn pause_reading(&self, reason: Pause, pause: bool) {
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

    pub(in crate::ws) fn is_reading_paused(&self) -> bool {
        self.flow.get().is_some_and(|flow| flow.borrow().paused_since.is_some())
    }

    /// Returns how long the client was not read since the last call; `None` if it was read all the
    /// time.
    pub(crate) fn take_pause(&self, now: Instant) -> Option<Duration> {
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
