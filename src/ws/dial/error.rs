//! Owns the errors of outgoing connections, in words that show neither a URL nor a header (A12).

use std::{fmt, io, time::Duration};

use tokio_tungstenite::tungstenite::Error as Trouble;

/// Why there is no connection. `Display` shows the host and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DialError {
    /// [`crate::config::feeds::EndpointConfig::host`].
    pub host: String,
    pub failure: DialFailure,
}

impl DialError {
    /// The HTTP status with which the peer refused the handshake.
    pub(crate) fn status(&self) -> Option<u16> {
        match self.failure {
            DialFailure::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// How long the peer asks to wait before the next attempt; only with status 429 or 503.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self.failure {
            DialFailure::Status(429 | 503, retry_after) => retry_after,
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DialFailure {
    /// The URL or a header cannot be sent.
    BadEndpoint,
    /// `ws://` leads to another machine.
    NotSecure,
    /// `ws://` leads out of private networks, although `allow_insecure` is set.
    NotPrivate,
    Resolve(io::ErrorKind),
    Connect(io::ErrorKind),
    /// TLS failed, for example because of the certificate; the library's reason.
    Tls(String),
    /// The peer refused with this HTTP status, which includes redirects; and its `Retry-After`.
    Status(u16, Option<Duration>),
    /// The peer's reply is not a WebSocket handshake.
    Handshake(String),
    /// The connection ended during the handshake.
    Lost(io::ErrorKind),
    /// `connect_timeout` ended first.
    Timeout,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.host)?;
        match &self.failure {
            DialFailure::BadEndpoint => f.write_str("the URL or a header cannot be used"),
            DialFailure::NotSecure => {
                f.write_str("ws:// is for this machine only; use wss://, or allow_insecure in a private network")
            }
            DialFailure::Resolve(kind) => write!(f, "the name cannot be resolved ({kind})"),
            DialFailure::Connect(kind) => write!(f, "cannot connect ({kind})"),
            DialFailure::Tls(why) => write!(f, "TLS failed: {why}"),
            DialFailure::NotPrivate => {
                f.write_str("ws:// is for private networks only, and the name leads elsewhere; use wss://")
            }
            DialFailure::Status(status, _) => write!(f, "refused with status {status}"),
            DialFailure::Handshake(why) => write!(f, "no WebSocket there: {why}"),
            DialFailure::Lost(kind) => write!(f, "the connection ended during the handshake ({kind})"),
            DialFailure::Timeout => f.write_str("timed out"),
        }
    }
}

impl std::error::Error for DialError {}

/// Why an open connection ended without a close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// The socket ended or failed.
    Lost,
    /// A message over the bound, by its declared length.
    TooBig,
    /// The peer broke RFC 6455; the value names the breach.
    Protocol(String),
    /// Text that is not UTF-8.
    NotText,
    /// The peer floods this side with pings and reads none of the replies.
    Unread,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the connection was lost"),
            Self::TooBig => f.write_str("a message over the bound"),
            Self::Protocol(why) => write!(f, "not RFC 6455: {why}"),
            Self::NotText => f.write_str("text that is not UTF-8"),
            Self::Unread => f.write_str("it sends pings and does not read the answers"),
        }
    }
}

impl LinkError {
    /// The close code that the peer gets (RFC 6455 sections 7.1.7 and 7.4.1); `None` if it is gone.
    pub(crate) fn close_code(&self) -> Option<u16> {
        match self {
            Self::Lost => None,
            Self::TooBig => Some(1009),
            Self::Protocol(_) => Some(1002),
            Self::NotText => Some(1007),
            Self::Unread => Some(1008),
        }
    }
}

impl std::error::Error for LinkError {}

impl From<Trouble> for LinkError {
    fn from(trouble: Trouble) -> Self {
        use tokio_tungstenite::tungstenite::error::ProtocolError as P;
        match trouble {
            Trouble::Capacity(_) => Self::TooBig,
            Trouble::Protocol(P::ResetWithoutClosingHandshake) => Self::Lost,
            Trouble::Protocol(error) => Self::Protocol(error.to_string()),
            Trouble::Utf8(_) => Self::NotText,
            Trouble::WriteBufferFull(_) => Self::Unread,
            // All others only mean that the connection is over.
            _ => Self::Lost,
        }
    }
}
