//! Owns the end of an event-loop turn: writes each outbox that got a frame in this turn once. There
//! is one `Flusher` per shard.

use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use super::outbox::{Frames, Outbox};
use crate::observe::metrics::ShardMetrics;

/// Emptied queues kept for the next outbox, and the largest capacity of a kept one.
const MAX_SPARE: usize = 256;
const MAX_SPARE_SLOTS: usize = 64;

/// The shard's list of outboxes that have something to write.
///
/// The first outbox of a turn wakes the flusher's task, which therefore runs after every task that
/// was ready before it: all frames that those tasks push to one socket leave in one vectored write.
pub(crate) struct Flusher {
    dirty: RefCell<Vec<Rc<Outbox>>>,
    waker: RefCell<Option<Waker>>,
    /// Emptied queues with their memory, so that an idle outbox holds none and a busy one allocates
    /// none.
    spare: RefCell<Vec<Frames>>,
    stats: ShardMetrics,
}

impl Flusher {
    pub(crate) fn new(stats: ShardMetrics) -> Rc<Self> {
        Rc::new(Self { dirty: RefCell::default(), waker: RefCell::new(None), spare: RefCell::default(), stats })
    }

    pub(crate) fn stats(&self) -> &ShardMetrics {
        &self.stats
    }

    /// Returns a queue for an outbox that has frames again.
    pub(super) fn lend(&self) -> Frames {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back an emptied queue.
    pub(super) fn give_back(&self, frames: Frames) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MAX_SPARE && (1..=MAX_SPARE_SLOTS).contains(&frames.capacity()) {
            spare.push(frames);
        }
    }

    pub(super) fn add(&self, outbox: Rc<Outbox>) {
        let mut dirty = self.dirty.borrow_mut();
        dirty.push(outbox);
        if dirty.len() == 1
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    /// Flushes after each turn; never resolves.
    pub(crate) async fn run(self: Rc<Self>) {
        let mut spare = Vec::new();
        poll_fn(|context| {
            let mut waker = self.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                *waker = Some(context.waker().clone());
            }
            drop(waker);
            std::mem::swap(&mut *self.dirty.borrow_mut(), &mut spare);
            for outbox in spare.drain(..) {
                // The connection ends first and gives its permit back: whoever reads the close frame
                // and comes again at once must not find its own place taken.
                if outbox.take_fresh() {
                    self.add(outbox);
                } else {
                    self.flush(&outbox);
                }
            }
            Poll::<()>::Pending
        })
        .await;
    }

    /// Writes one outbox now and updates the metrics.
    pub(super) fn flush(&self, outbox: &Outbox) {
        let flushed = outbox.flush();
        self.stats.events_out(flushed.frames as u64);
        self.stats.bytes_out(flushed.bytes as u64);
        if let Some(waited) = flushed.waited {
            self.stats.event_to_wire(waited);
        }
    }
}
