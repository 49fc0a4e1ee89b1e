//! Owns what a session keeps of its client's connection: which frames it was given, and which it
//! was asked to confirm.
//!
//! A session asks with a ping behind the data; the pong means that the client's WebSocket library
//! has received everything before it (RFC 6455 section 5.5.3). A client that answers no ping costs
//! only the memory of the frames that it might ask for again.

use std::{
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use crate::ws::{Frame, Outbox, Policy, frame};

/// A client is asked after this many bytes. A smaller remainder is little beside what the history
/// keeps anyway, so heartbeats need not ask.
pub(super) const ASK_BYTES: usize = 32 * 1024;
/// The ping's payload, before the number of the last frame sent before it. A heartbeat's payload
/// begins with another byte.
const ASK: &str = "seq=";

pub(super) struct ProxyClient {
    pub connection: u64,
    pub address: IpAddr,
    pub outbox: Rc<Outbox>,
    /// The number of the frame before the first one that this outbox was given.
    pub base: u64,
    /// The number in the newest ping.
    asked: u64,
    /// Bytes given since that ping.
    unasked: usize,
}

impl ProxyClient {
    /// `next` is the number of the first frame that the client will be given.
    pub(super) fn new(connection: u64, address: IpAddr, outbox: Rc<Outbox>, next: u64) -> Self {
        Self { connection, address, outbox, base: next - 1, asked: 0, unasked: 0 }
    }

    /// The number of the last frame that the client's socket has taken.
    pub(super) fn written(&self) -> u64 {
        self.base + self.outbox.paced_written()
    }

    pub(super) fn give(&mut self, frame: Frame, now: Instant) {
        self.unasked += frame.len();
        self.outbox.queue(frame, Policy::Paced, now);
    }

    /// Ready while frames that cost less than `OUTBOX_BYTES` wait in the outbox, or if the
    /// connection is over (X2). A task that had to wait is woken at half of that.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let max_bytes = self.outbox.max_bytes();
        self.outbox.poll_paced(max_bytes.saturating_sub(1), max_bytes / 2, context)
    }

    /// Ready if no frame waits in the outbox, or if the connection is over.
    pub(super) fn poll_drained(&self, context: &mut Context<'_>) -> Poll<()> {
        self.outbox.poll_paced(0, 0, context)
    }

    /// Sends a ping for all frames up to `newest`, if enough bytes were given since the last.
    pub(super) fn ask_when_due(&mut self, newest: u64, now: Instant) {
        if self.unasked >= ASK_BYTES {
            self.unasked = 0;
            self.asked = newest;
            self.outbox.queue(frame::ping(format!("{ASK}{newest}").as_bytes()), Policy::Live, now);
        }
    }

    /// Returns the number in a pong's payload, if that number was asked for and is above
    /// `received`.
    pub(super) fn answered(&self, payload: &[u8], received: u64) -> Option<u64> {
        let number = std::str::from_utf8(payload).ok()?.strip_prefix(ASK)?.parse().ok()?;
        (received < number && number <= self.asked).then_some(number)
    }
}
