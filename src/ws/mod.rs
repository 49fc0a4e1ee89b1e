//! Owns bytes on sockets: frames, outboxes, flushing, lingering; the only folder that knows how bytes move.
//! Called by `connection` (reads), `room` (holds outboxes) and `registry` (opens sockets, runs the flusher).

pub mod decoder;
pub mod flush;
pub mod frame;
pub mod linger;
pub mod outbox;
mod queue;
pub mod socket;

pub use flush::Flusher;
pub use outbox::Outbox;
pub use queue::VolatileKey;
pub use socket::{Limits, ReadError, Socket, Traffic};

use bytes::Bytes;

/// Builds one text frame: `write` puts JSON into a scratch buffer, the frame is one exact allocation.
pub fn json_frame(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    thread_local! {
        static SCRATCH: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        write(scratch);
        let frame = frame::text(scratch);
        if scratch.capacity() > 256 * 1024 {
            *scratch = Vec::new();
        }
        frame
    })
}
