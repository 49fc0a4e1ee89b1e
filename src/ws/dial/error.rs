//! Owns what can go wrong with an outgoing connection, in words that show neither a URL nor a
//! header (A12). Whoever dials logs them.

use std::{fmt, io, time::Duration};

use tokio_tungstenite::tungstenite::Error as Trouble;

/// Why there is no connection. `Display` says the host and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialError {
    /// [`crate::config::feeds::EndpointConfig::host`].
    pub host: String,
    pub failure: DialFailure,
}

impl DialError {
    /// The HTTP status with which the peer refused the handshake.
    pub fn status(&self) -> Option<u16> {
        match self.failure {
            DialFailure::Status(status, _) => Some(status),
            _ => None,
        }
    }

    /// How long the peer asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.failure {
            DialFailure::Status(429 | 503, retry_after) => retry_after,
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialFailure {
    /// The URL or a header cannot be sent.
    BadEndpoint,
    /// `ws://` to another machine.
    NotSecure,
    /// `ws://` by a name that leads out of private networks, though the description allows it.
    NotPrivate,
    Resolve(io::ErrorKind),
    Connect(io::ErrorKind),
    /// The certificate, or what TLS has against it.
    Tls(String),
    /// The peer refused with this HTTP status; a redirect is a refusal too. With its `Retry-After`.
    Status(u16, Option<Duration>),
    /// The peer's answer is no handshake.
    Handshake(String),
    /// The connection ended during the handshake.
    Lost(io::ErrorKind),
    /// Not everything was done within `connect_timeout`.
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

/// Why an open connection ended without a close frame, or took nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkError {
    /// The socket ended or failed.
    Lost,
    /// A message over the bound, judged by its declared length.
    TooBig,
    /// What came is not RFC 6455.
    Protocol(String),
    /// Text that is not UTF-8.
    NotText,
    /// It floods this side with pings, and takes none of the answers.
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
    /// What the peer is told before the connection ends (RFC 6455 sections 7.1.7 and 7.4.1); `None`: it is gone.
    pub fn close_code(&self) -> Option<u16> {
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
            // Nothing else says more than that it is over.
            _ => Self::Lost,
        }
    }
}
