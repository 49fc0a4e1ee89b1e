//! Owns all I/O on WebSocket connections: frames, outboxes, flushing, lingering, dialling. No other
//! folder moves bytes.

pub(crate) mod client;
pub(crate) mod decoder;
pub(crate) mod dial;
mod errors;
pub(crate) mod flush;
pub(crate) mod frame;
pub(crate) mod linger;
pub(crate) mod outbox;
pub(crate) mod socket;
#[cfg(test)]
pub(crate) mod valve;

pub(crate) use decoder::DecodeError;
pub(crate) use dial::{DialError, Dialer, Incoming, LinkError, LinkReader, LinkWriter, Outgoing};
pub(crate) use errors::{Errors, error_frame};
pub(crate) use flush::Flusher;
pub(crate) use frame::{Frame, text as json_frame};
pub(crate) use outbox::{Outbox, Pause, Policy, Timing, ValueKey};
pub(crate) use socket::{Arrived, PROBE_INTERVAL, ReadError, Socket, SocketLimits, Traffic};
