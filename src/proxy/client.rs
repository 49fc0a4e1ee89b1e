//! Owns what a line knows of its client's connection: what was given to it, and what it was asked
//! to have received.
//!
//! The question is a ping behind the data; its pong says that the client's WebSocket library has
//! come that far (RFC 6455 section 5.5.3). A client that answers none only costs the memory of what
//! it might ask for again.

use std::{net::IpAddr, rc::Rc, time::Instant};

use crate::ws::{Frame, Outbox, frame};

/// So many bytes go to a client between two questions. What is asked for less often than that is little beside what the history
/// keeps anyway, so that heartbeats need not ask.
pub const ASK_BYTES: usize = 32 * 1024;
/// Of the ping, before the number of the last frame that went before it. A heartbeat's payload begins with another byte.
const ASK: &str = "seq=";

pub struct ProxyClient {
    pub connection: u64,
    pub address: IpAddr,
    pub outbox: Rc<Outbox>,
    /// The number of the last frame before the first that this outbox got.
    pub base: u64,
    /// The number in the newest question.
    asked: u64,
    /// Bytes given since then.
    unasked: usize,
}

impl ProxyClient {
    /// `next` is the number of the first frame that it will be given.
    pub fn new(connection: u64, address: IpAddr, outbox: Rc<Outbox>, next: u64) -> Self {
        Self { connection, address, outbox, base: next - 1, asked: 0, unasked: 0 }
    }

    /// The number of the last frame that its socket has taken.
    pub fn written(&self) -> u64 {
        self.base + self.outbox.relayed_written()
    }

    pub fn give(&mut self, frame: Frame, now: Instant) {
        self.unasked += frame.len();
        self.outbox.push_relayed(frame, now);
    }

    /// Asks, if enough was given; up to the frame `newest`.
    pub fn ask_when_due(&mut self, newest: u64, now: Instant) {
        if self.unasked >= ASK_BYTES {
            self.unasked = 0;
            self.asked = newest;
            self.outbox.push(frame::ping(format!("{ASK}{newest}").as_bytes()), now);
        }
    }

    /// The number that a pong's payload says, if that was asked for and is more than is known to be `received`.
    pub fn answered(&self, payload: &[u8], received: u64) -> Option<u64> {
        let number = std::str::from_utf8(payload).ok()?.strip_prefix(ASK)?.parse().ok()?;
        (received < number && number <= self.asked).then_some(number)
    }
}
