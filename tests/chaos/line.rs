//! Owns one WebSocket connection of a chaos client (tungstenite), read with short waits.

use std::{
    io::ErrorKind,
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::Value;
use tungstenite::{Error, HandshakeError, Message, WebSocket, error::ProtocolError};

/// How long a read waits for bytes.
const READ_TIMEOUT: Duration = Duration::from_millis(20);
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Line {
    socket: WebSocket<TcpStream>,
    /// When bytes came last.
    heard: Instant,
}

/// What a read may bring.
pub enum Heard {
    Frame(Value),
    /// Nothing yet, or a control frame.
    Nothing,
    /// A close frame: its code (1005 without).
    Closed(u16),
    /// Gone without one.
    Lost,
    /// Bytes that no correct server sends, whatever the network does.
    Garbage(String),
}

/// Why there is no connection.
pub enum Failure {
    Lost,
    /// The HTTP status that answered instead of 101.
    Refused(u16),
}

impl Line {
    pub fn open(port: u16, path: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|_| Failure::Lost)?;
        stream.set_nodelay(true).map_err(|_| Failure::Lost)?;
        stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(|_| Failure::Lost)?;
        stream.set_write_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(|_| Failure::Lost)?;
        let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
        let mut shaking = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream);
        loop {
            shaking = match shaking {
                Ok((socket, _)) => return Ok(Self { socket, heard: Instant::now() }),
                Err(HandshakeError::Interrupted(half)) if Instant::now() < deadline => half.handshake(),
                Err(HandshakeError::Failure(Error::Http(response))) => {
                    return Err(Failure::Refused(response.status().as_u16()));
                }
                Err(_) => return Err(Failure::Lost),
            };
        }
    }

    /// The next frame, if one comes within 20 ms.
    pub fn hear(&mut self) -> Heard {
        let message = match self.socket.read() {
            Ok(message) => message,
            Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Heard::Nothing;
            }
            Err(Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed) => return Heard::Lost,
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => return Heard::Lost,
            Err(error) => return Heard::Garbage(error.to_string()),
        };
        self.heard = Instant::now();
        match message {
            Message::Text(text) => match serde_json::from_str(&text) {
                Ok(frame) => Heard::Frame(frame),
                Err(error) => Heard::Garbage(format!("{error}: {text}")),
            },
            Message::Close(frame) => Heard::Closed(frame.map_or(1005, |frame| frame.code.into())),
            Message::Binary(_) => Heard::Garbage("a binary frame".to_owned()),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Heard::Nothing,
        }
    }

    /// For how long nothing came.
    pub fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Queues a frame; `false`: the connection is lost.
    #[must_use]
    pub fn say(&mut self, frame: String) -> bool {
        self.socket.write(Message::text(frame)).is_ok()
    }

    /// Writes what is queued; `false`: the connection is lost.
    #[must_use]
    pub fn flush(&mut self) -> bool {
        self.socket.flush().is_ok()
    }
}
