//! Owns what can go wrong with an outgoing connection, in words that show neither a URL nor a header (A12).
//! Called by `dial`; whoever dials logs them.

use std::{fmt, io};

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
            DialFailure::Status(status) => Some(status),
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
    Resolve(io::ErrorKind),
    Connect(io::ErrorKind),
    /// The certificate, or what TLS has against it.
    Tls(String),
    /// The peer refused with this HTTP status; a redirect is a refusal too.
    Status(u16),
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
            DialFailure::NotSecure => f.write_str("ws:// is for this machine only; use wss://"),
            DialFailure::Resolve(kind) => write!(f, "the name cannot be resolved ({kind})"),
            DialFailure::Connect(kind) => write!(f, "cannot connect ({kind})"),
            DialFailure::Tls(why) => write!(f, "TLS failed: {why}"),
            DialFailure::Status(status) => write!(f, "refused with status {status}"),
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
    /// What came is not RFC 6455, or its text not UTF-8.
    Protocol(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the connection was lost"),
            Self::TooBig => f.write_str("a message over the bound"),
            Self::Protocol(why) => write!(f, "not RFC 6455: {why}"),
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
            Trouble::Utf8(_) => Self::Protocol("text that is not UTF-8".to_owned()),
            // Nothing else says more than that it is over.
            _ => Self::Lost,
        }
    }
}
