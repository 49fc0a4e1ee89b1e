//! Owns all I/O on WebSocket connections: frames, outboxes, flushing, lingering, dialling. No other
//! folder moves bytes.

pub mod client;
pub mod decoder;
pub mod dial;
mod errors;
pub mod flush;
pub mod frame;
pub mod linger;
pub mod outbox;
pub mod socket;
#[cfg(test)]
pub mod valve;

pub use decoder::DecodeError;
pub use dial::{DialError, Dialer, Incoming, LinkError, LinkReader, LinkWriter, Outgoing};
pub use errors::{Errors, error_frame};
pub use flush::Flusher;
pub use frame::{Frame, text as json_frame};
pub use outbox::{Outbox, Pause, Policy, Timing, ValueKey};
pub use socket::{Arrived, PROBE_INTERVAL, ReadError, Socket, SocketLimits, Traffic};
