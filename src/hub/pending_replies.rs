//! Owns the replies that a client which publishes is still to get: in the order of its
//! publications, each when its value is stored.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Instant,
};

use super::handle::{PublishError, Receipt};
use crate::{
    protocol::{ServerFrame, Topic, error_code},
    ws::{Outbox, Policy, error_frame, json_frame},
};

/// Bounded by the number of values that the hub accepts before they are stored.
#[derive(Default)]
pub(super) struct PendingReplies {
    queue: RefCell<VecDeque<(Receipt, Option<u64>, Topic)>>,
    /// True while a task empties the queue.
    is_running: Cell<bool>,
}

impl PendingReplies {
    /// Queues the reply, which is `published` or `error`; without an `id` only `error`.
    pub(super) fn push(self: &Rc<Self>, receipt: Receipt, id: Option<u64>, topic: Topic, outbox: Rc<Outbox>) {
        self.queue.borrow_mut().push_back((receipt, id, topic));
        if !self.is_running.replace(true) {
            actix_rt::spawn(self.clone().run(outbox));
        }
    }

    async fn run(self: Rc<Self>, outbox: Rc<Outbox>) {
        loop {
            let next = self.queue.borrow_mut().pop_front();
            let Some((receipt, id, topic)) = next else { break };
            let answer = match (receipt.seq().await, id) {
                (Ok(_), None) => continue,
                (Ok(seq), Some(id)) => json_frame(|out| ServerFrame::Published { id, topic: &topic, seq }.write(out)),
                (Err(_), id) => error_frame(error_code::UNAVAILABLE, PublishError::GONE, id),
            };
            outbox.queue(answer, Policy::Live, Instant::now());
        }
        self.is_running.set(false);
    }
}
