//! Owns what a client is still to be answered that has published: in the order in which it did,
//! when its values are stored.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Instant,
};

use super::handle::{PublishError, Receipt};
use crate::{
    protocol::{ServerFrame, Topic, error_code},
    ws::{Outbox, error_frame, json_frame},
};

/// Bounded by what the hub accepts before it is stored.
#[derive(Default)]
pub struct PendingReplies {
    queue: RefCell<VecDeque<(Receipt, Option<u64>, Topic)>>,
    /// A task empties the queue.
    is_running: Cell<bool>,
}

impl PendingReplies {
    /// The answer is `published` or `error`; without an `id` only an error.
    pub fn push(self: &Rc<Self>, receipt: Receipt, id: Option<u64>, topic: Topic, outbox: Rc<Outbox>) {
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
            outbox.push(answer, Instant::now());
        }
        self.is_running.set(false);
    }
}
