//! Owns bytes on sockets: frames, outboxes, flushing, lingering; the only folder that knows how bytes move.
//! Called by `connection` (reads), `room` and `hub` (hold outboxes) and `registry` (opens sockets, runs the flusher).

mod conflated;
pub mod decoder;
pub mod dial;
mod flow;
pub mod flush;
pub mod frame;
pub mod linger;
pub mod outbox;
mod queue;
pub mod socket;
#[cfg(test)]
pub mod valve;

pub use conflated::VolatileKey;
pub use dial::{DialError, Dialer, Incoming, LinkError, LinkReader, LinkWriter, Outgoing};
pub use flow::Pause;
pub use flush::Flusher;
pub use frame::{Frame, text as json_frame};
pub use outbox::Outbox;
pub use socket::{Arrived, Limits, PROBE_INTERVAL, ReadError, Socket, Traffic};

use crate::protocol::ServerFrame;

/// An `error` frame (3.2): `code` is stable, `message` is for people, `id` names the request that failed.
pub fn error_frame(code: &str, message: &str, id: Option<u64>) -> Frame {
    json_frame(|out| ServerFrame::Error { code, message, id, topic: None }.write(out))
}
