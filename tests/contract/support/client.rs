//! Owns the tests' clients: a WebSocket client from another library, and a raw socket that obeys no
//! protocol.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use serde_json::Value;
use tungstenite::{Message, WebSocket, client::IntoClientRequest as _, http::HeaderValue};

use super::PATIENCE;

/// A WebSocket client (tungstenite) that waits for what must come.
pub struct Client {
    socket: WebSocket<TcpStream>,
    /// Up to the query, and `?spectate=1` if it was there.
    path: String,
    pub welcome: Value,
    /// The newest seq that this client knows of, in this connection and those it resumed.
    pub seen: u64,
}

/// What a client needs to come back when its connection is gone.
#[derive(Debug, Clone)]
pub struct Seat {
    path: String,
    pub session: String,
    /// What it saw last.
    pub seen: u64,
}

impl Seat {
    /// The same, having seen more or less.
    pub fn at(&self, seen: u64) -> Self {
        Self { seen, ..self.clone() }
    }

    /// The path that resumes (R1).
    pub fn resume_path(&self) -> String {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        format!("{}{separator}session={}&seq={}", self.path, self.session, self.seen)
    }
}

/// How the server ended a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub code: u16,
    pub reason: String,
}

impl Client {
    pub(super) fn connect(port: u16, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        stream.set_nodelay(true).expect("nodelay");
        let mut request = format!("ws://127.0.0.1:{port}{path}").into_client_request().expect("request");
        for (name, value) in headers {
            let name: tungstenite::http::HeaderName = name.parse().expect("header");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("header"));
        }
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => {
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                let role = if query.split('&').any(|pair| pair == "spectate=1") { "?spectate=1" } else { "" };
                Ok(Self { socket, path: format!("{path}{role}"), welcome: Value::Null, seen: 0 })
            }
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("handshake of {path}: {error}"),
        }
    }

    /// Reads the welcome, which must come first (R2), and keeps it.
    pub fn welcomed(mut self) -> Self {
        let frame = self.next();
        assert_eq!(frame["type"], "welcome", "{frame}");
        self.welcome = frame;
        self
    }

    /// The session secret of the welcome.
    pub fn session(&self) -> &str {
        self.welcome["session"].as_str().expect("a session")
    }

    /// What it takes to come back; empty before the welcome.
    pub fn seat(&self) -> Seat {
        let session = self.welcome["session"].as_str().unwrap_or_default().to_owned();
        Seat { path: self.path.clone(), session, seen: self.seen }
    }

    /// The verdict of the welcome (R3).
    pub fn verdict(&self) -> &str {
        self.welcome["resume"].as_str().expect("a verdict")
    }

    pub fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string());
    }

    pub fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).expect("send");
    }

    /// Whether it could be sent; a server that is gone is fine.
    pub fn try_send(&mut self, frame: &Value) -> bool {
        self.socket.send(Message::text(frame.to_string())).is_ok()
    }

    pub fn send_message(&mut self, message: Message) {
        self.socket.send(message).expect("send");
    }

    /// The next JSON frame, server pings aside.
    pub fn next(&mut self) -> Value {
        loop {
            let frame = self.next_of_any_kind().unwrap_or_else(|ended| panic!("closed with {ended:?}"));
            if frame["type"] != "ping" {
                return frame;
            }
        }
    }

    /// The next JSON frame, server pings included; or how the connection ended.
    pub fn next_of_any_kind(&mut self) -> Result<Value, Ended> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let frame = serde_json::from_str(&text).expect("frames are JSON");
                    self.note(&frame);
                    return Ok(frame);
                }
                Ok(Message::Close(frame)) => {
                    let ended = frame.map_or(Ended { code: 1005, reason: String::new() }, |frame| Ended {
                        code: frame.code.into(),
                        reason: frame.reason.to_string(),
                    });
                    return Err(ended);
                }
                Ok(_) => {}
                Err(error) => return Err(Ended { code: 1006, reason: error.to_string() }),
            }
        }
    }

    /// Keeps `seen`. What a welcome does not announce as missed is seen with it.
    fn note(&mut self, frame: &Value) {
        let seq = match (frame["type"].as_str(), frame["resume"].as_str()) {
            (Some("ack"), _) | (Some("welcome"), Some("continuous")) => None,
            (Some("welcome"), Some("snapshot")) => frame["lost"][1].as_u64(),
            _ => frame["seq"].as_u64(),
        };
        self.seen = seq.unwrap_or(self.seen);
    }

    /// The next raw message of any kind, e.g. a WebSocket Ping.
    pub fn next_message(&mut self) -> Message {
        self.socket.read().expect("a message")
    }

    /// Skips frames until one fits.
    pub fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next();
            if fits(&frame) {
                return frame;
            }
        }
    }

    pub fn until_type(&mut self, kind: &str) -> Value {
        self.until(|frame| frame["type"] == kind)
    }

    /// Reads up to the close; returns it and the last JSON frame before it.
    pub fn ended(&mut self) -> (Ended, Value) {
        let mut last = Value::Null;
        loop {
            match self.next_of_any_kind() {
                Ok(frame) => last = frame,
                Err(ended) => return (ended, last),
            }
        }
    }

    /// Everything up to the answer of a `ping` sent now: proves what did not come, without
    /// sleeping.
    pub fn drain(&mut self) -> Vec<Value> {
        let nonce = fastrand::u64(..1 << 50);
        self.send(&serde_json::json!({ "type": "ping", "nonce": nonce }));
        let mut frames = Vec::new();
        loop {
            let frame = self.next();
            if frame["type"] == "pong" && frame["nonce"] == nonce {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Sends a close frame and waits for the server's.
    pub fn close(mut self) {
        let _ = self.socket.close(None);
        while self.socket.read().is_ok() {}
    }

    /// Cuts the connection: no close frame. Gives what it takes to come back.
    pub fn cut(self) -> Seat {
        let _ = self.socket.get_ref().shutdown(Shutdown::Both);
        self.seat()
    }

    /// The socket below, e.g. to stop reading for a while.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}

/// `error` with this code, then this close (A8).
pub fn assert_ended(mut client: Client, close: u16, code: &str) {
    let (ended, last) = client.ended();
    assert_eq!(
        (&last["type"], &last["code"]),
        (&serde_json::json!("error"), &serde_json::json!(code)),
        "{last} {ended:?}"
    );
    assert!(last["message"].as_str().is_some_and(|message| !message.is_empty()), "{last}");
    assert_eq!(ended.code, close, "{ended:?}");
}

/// Bytes as they are.
pub struct RawSocket(pub TcpStream);

impl RawSocket {
    pub(super) fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
        Self(stream)
    }

    /// A correct handshake; afterwards frames may be as wrong as they like.
    pub fn upgrade(self, path: &str) -> Self {
        self.upgrade_at("127.0.0.1", path)
    }

    /// As `upgrade`, with another `Host`.
    pub fn upgrade_at(mut self, host: &str, path: &str) -> Self {
        self.write(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            .as_bytes(),
        );
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).expect("the handshake's answer");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        self
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("write");
    }

    /// Whether the bytes could be written; a server that hung up is fine.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// A masked frame: first byte (FIN, RSV, opcode) and payload, correct length.
    pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = Self::header(first, payload.len() as u64);
        frame.truncate(frame.len() - mask.len());
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    /// The header of a masked frame with the mask 0 0 0 0 that declares `payload_bytes`, whatever
    /// follows.
    pub fn header(first: u8, payload_bytes: u64) -> Vec<u8> {
        let mut header = vec![first];
        match payload_bytes {
            length @ 0..126 => header.push(0x80 | length as u8),
            length @ 126..65536 => {
                header.push(0x80 | 126);
                header.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                header.push(0x80 | 127);
                header.extend_from_slice(&length.to_be_bytes());
            }
        }
        header.extend_from_slice(&[0; 4]);
        header
    }

    /// The next server frame: first byte (FIN, RSV, opcode) and payload; `None` when the socket
    /// ended.
    pub fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        let length = match head[1] {
            126 => {
                let mut extended = [0; 2];
                self.0.read_exact(&mut extended).ok()?;
                usize::from(u16::from_be_bytes(extended))
            }
            127 => {
                let mut extended = [0; 8];
                self.0.read_exact(&mut extended).ok()?;
                u64::from_be_bytes(extended) as usize
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[0], payload))
    }

    /// The next JSON frame of this `type`; frames before it are skipped.
    pub fn until_type(&mut self, kind: &str) -> Value {
        loop {
            let (first, payload) = self.next_frame().unwrap_or_else(|| panic!("the socket ended before a {kind}"));
            assert_ne!(first, 0x88, "closed before a {kind}: {payload:?}");
            if first == 0x81 {
                let frame: Value = serde_json::from_slice(&payload).expect("frames are JSON");
                if frame["type"] == kind {
                    return frame;
                }
            }
        }
    }

    /// Reads server frames up to the close frame; its code, or 1006 when the socket ended without
    /// one.
    pub fn close_code(&mut self) -> u16 {
        loop {
            match self.next_frame() {
                None => return 1006,
                Some((0x88, payload)) => {
                    return payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                }
                Some(_) => {}
            }
        }
    }

    /// Everything until the peer ends the connection.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes);
        bytes
    }
}
