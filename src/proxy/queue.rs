//! Owns the messages that wait for the upstream: the client's in order, their cost in bytes, and
//! the close frame behind them; pure.

use std::collections::VecDeque;

use crate::ws::{Outgoing, frame};

/// The queue does not enforce its bound: past `max_bytes` the client is not read (X2).
pub(super) struct ClientQueue {
    messages: VecDeque<Outgoing>,
    bytes: usize,
    max_bytes: usize,
    /// A close frame is or was in the queue, or the upstream takes nothing more.
    is_closed: bool,
}

impl ClientQueue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, max_bytes, is_closed: false }
    }

    /// Adds a message of the client; after the close it is dropped.
    pub(super) fn push(&mut self, message: Outgoing) {
        if !self.is_closed {
            self.bytes += cost(&message);
            self.messages.push_back(message);
        }
    }

    /// Returns the next message for the upstream, and true if taking it has freed half of the
    /// bound.
    pub(super) fn pop(&mut self) -> Option<(Outgoing, bool)> {
        let message = self.messages.pop_front()?;
        let before = self.bytes;
        self.bytes -= cost(&message);
        let low = self.max_bytes / 2;
        Some((message, before > low && self.bytes <= low))
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.max_bytes
    }

    /// Returns true if a message of the client waits.
    pub(super) fn has_messages(&self) -> bool {
        self.messages.iter().any(|message| !matches!(message, Outgoing::Close(..)))
    }

    /// Adds the close frame, behind which nothing follows. Only the first call counts.
    pub(super) fn close(&mut self, code: u16, reason: &str) {
        if !self.is_closed {
            self.is_closed = true;
            self.messages.push_back(Outgoing::Close(code, reason.to_owned()));
        }
    }

    /// Drops everything, also messages that come later.
    pub(super) fn forget(&mut self) {
        *self = Self { is_closed: true, ..Self::new(self.max_bytes) };
    }
}

fn cost(message: &Outgoing) -> usize {
    match message {
        Outgoing::Text(text) => frame::cost(text.len()),
        Outgoing::Binary(bytes) => frame::cost(bytes.len()),
        Outgoing::Ping | Outgoing::Close(..) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop(queue: &mut ClientQueue) -> Option<Outgoing> {
        queue.pop().map(|(message, _)| message)
    }

    #[test]
    fn x4_the_first_close_comes_behind_what_was_said_before_and_nothing_behind_it() {
        let mut queue = ClientQueue::new(10);
        let word = Outgoing::Text("word".into());
        queue.push(word.clone());
        queue.close(4000, "first");
        queue.close(1001, "second");
        queue.push(word.clone());
        assert!(queue.has_messages());
        assert_eq!(pop(&mut queue), Some(word));
        assert!(!queue.has_messages());
        assert_eq!(pop(&mut queue), Some(Outgoing::Close(4000, "first".to_owned())));
        assert_eq!(pop(&mut queue), None);
    }

    #[test]
    fn x2_room_is_announced_once_when_half_of_the_bound_is_free() {
        let mut queue = ClientQueue::new(1000);
        (0..3).for_each(|_| queue.push(Outgoing::Binary(vec![0; 400].into())));
        assert!(queue.is_full());
        let made_room: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, made_room)| made_room).collect();
        assert_eq!(made_room, [false, true, false]);
        queue.push(Outgoing::Binary(vec![0; 1001].into()));
        queue.forget();
        assert!(!queue.is_full() && pop(&mut queue).is_none());
    }

    #[test]
    fn x2_messages_without_a_payload_fill_the_queue_too() {
        let mut queue = ClientQueue::new(1000);
        let mut count = 0;
        while count < 100 && !queue.is_full() {
            queue.push(Outgoing::Text("".into()));
            count += 1;
        }
        assert!(queue.is_full() && count < 100, "{count} messages");
        let made_room = std::iter::from_fn(|| queue.pop()).filter(|(_, made_room)| *made_room).count();
        assert_eq!((made_room, queue.bytes), (1, 0));
    }
}
