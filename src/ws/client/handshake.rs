//! Owns a client's handshake (RFC 6455 section 4.1): the request, and the response or the reason
//! why there is none.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::{ClientSocket, MAX_KEPT_BYTES};
use crate::ws::{
    DialError,
    dial::{ByteStream, retry_after_of},
};

/// The longest head of a response, and the most of a refusal's body that is read.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MAX_BODY_BYTES: usize = 4 * 1024;

/// What is asked for.
pub(crate) struct ClientRequest<'a> {
    /// The value of the header `Host`.
    pub host: &'a str,
    /// Begins with `/`.
    pub path_and_query: &'a str,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<&'a str>,
}

/// Why there is no WebSocket. `Display` shows neither a header nor the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HandshakeError {
    Dial(DialError),
    /// Another status than 101, what `Retry-After` says, and what the body says of the reason.
    Refused {
        status: u16,
        retry_after: Option<Duration>,
        why: String,
    },
    /// The connection ended, or what came is no handshake.
    Broken(String),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::Refused { status, why, .. } if why.is_empty() => write!(f, "refused with status {status}"),
            Self::Refused { status, why, .. } => write!(f, "refused with status {status}: {why}"),
            Self::Broken(why) => write!(f, "no WebSocket there: {why}"),
        }
    }
}

impl ClientSocket {
    /// Makes the handshake. The caller limits its time.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub(crate) async fn open(mut stream: ByteStream, request: &ClientRequest<'_>) -> Result<Self, HandshakeError> {
        let broken = |error: std::io::Error| HandshakeError::Broken(error.to_string());
        let key = generate_key();
        let ClientRequest { host, path_and_query, token } = request;
        let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "GET {path_and_query} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{bearer}\r\n"
        );
        stream.write_all(head.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;

        let mut bytes = Vec::with_capacity(1024);
        let end = loop {
            if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
                break at + 4;
            }
            if bytes.len() > MAX_HEAD_BYTES {
                return Err(HandshakeError::Broken("the head of the response has no end".to_owned()));
            }
            if stream.read_buf(&mut bytes).await.map_err(broken)? == 0 {
                return Err(HandshakeError::Broken("the connection ended in the handshake".to_owned()));
            }
        };
        let head = ResponseHead(String::from_utf8_lossy(&bytes[..end]).into_owned());
        let status = head.status().ok_or_else(|| HandshakeError::Broken("the response is not HTTP".to_owned()))?;
        if status == 101 {
            return match head.header("sec-websocket-accept") {
                Some(accept) if accept == derive_accept_key(key.as_bytes()) => {
                    let rest = bytes.split_off(end);
                    debug_assert!(rest.len() <= MAX_HEAD_BYTES + MAX_KEPT_BYTES);
                    Ok(Self::new(stream, rest))
                }
                _ => Err(HandshakeError::Broken("Sec-WebSocket-Accept is wrong".to_owned())),
            };
        }
        let retry_after = head.header("retry-after").and_then(|text| retry_after_of(text, SystemTime::now()));
        let length = head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let length = MAX_BODY_BYTES.min(length);
        while bytes.len() - end < length && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {}
        Err(HandshakeError::Refused { status, retry_after, why: message(&bytes[end..]) })
    }
}

/// The head of a response as text.
struct ResponseHead(String);

impl ResponseHead {
    fn status(&self) -> Option<u16> {
        self.0.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// The message of a refusal (A8); empty if the body is none.
fn message(body: &[u8]) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = parsed.as_ref().and_then(|body| body["error"]["message"].as_str());
    text.unwrap_or_default().chars().filter(|character| !character.is_control()).take(300).collect()
}
