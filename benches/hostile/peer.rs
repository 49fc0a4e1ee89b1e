//! Owns the attacker's sockets: one address for all, a WebSocket without patience, and raw bytes.

use std::{
    io,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::{
    attacker::Got,
    kit::socket::{MASK, frame_size},
};

const ADDRESS: [u8; 4] = [127, 0, 0, 9];
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects from the attacker's address; `window` is the receive buffer of a client that does not
/// read.
pub fn connect(server: SocketAddr, window: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(window) = window {
        socket.set_recv_buffer_size(window)?;
    }
    socket.bind(&SocketAddr::from((ADDRESS, 0)).into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub fn handshake(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// The status of an answer, such as `429`; the rest of what was read stays in `bytes`.
pub fn status(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<String> {
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            bytes.drain(..end + 4);
            return Ok(head.split(' ').nth(1).unwrap_or_default().to_owned());
        }
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

/// A WebSocket of the attacker.
pub struct Peer {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Peer {
    /// `None` and a count where the server refuses.
    pub fn open(server: SocketAddr, path: &str, got: &mut Got) -> Option<Self> {
        match Self::try_open(server, path) {
            Ok(Ok(peer)) => return Some(peer),
            Ok(Err(status)) => got.count(status),
            Err(error) => got.count(format!("no connection ({})", error.kind())),
        }
        None
    }

    fn try_open(server: SocketAddr, path: &str) -> io::Result<Result<Self, String>> {
        let mut stream = connect(server, None)?;
        stream.write_all(handshake(path, "").as_bytes())?;
        let mut rest = Vec::new();
        match status(&mut stream, &mut rest)? {
            status if status == "101" => Ok(Ok(Self { stream, rest })),
            status => Ok(Err(status)),
        }
    }

    /// # Errors
    /// When the connection has ended or takes nothing.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame)
    }

    /// Reads what is there, answers nothing.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn drain(&mut self, got: &mut Got) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        let result = self.read_some(got, |_| {});
        self.stream.set_nonblocking(false)?;
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }

    /// The next text frame of one of these types; no more than five seconds.
    ///
    /// # Errors
    /// When the connection ends, or no such frame arrives.
    pub fn wait_for(&mut self, types: &[&str], got: &mut Got) -> io::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut found = None;
        while Instant::now() < deadline {
            self.read_some(got, |text| {
                if found.is_none() && types.iter().any(|kind| text.contains(&format!(r#""type":"{kind}""#))) {
                    found = Some(text.to_owned());
                }
            })?;
            if let Some(text) = found.take() {
                return Ok(text);
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Reads once: a fast server must not hold the attacker here.
    fn read_some(&mut self, got: &mut Got, mut take: impl FnMut(&str)) -> io::Result<()> {
        // The answer's head may have brought whole frames along.
        if self.walk(got, &mut take) > 0 {
            return Ok(());
        }
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => self.rest.extend_from_slice(&chunk[..read]),
        }
        self.walk(got, &mut take);
        Ok(())
    }

    /// Removes the complete frames and returns how many there were.
    fn walk(&mut self, got: &mut Got, take: &mut impl FnMut(&str)) -> usize {
        let (mut at, mut frames) = (0, 0);
        while let Some((header, length)) = frame_size(&self.rest[at..])
            && let Some(payload) = self.rest.get(at + header..at + header + length)
        {
            match self.rest[at] & 15 {
                1 => {
                    let text = String::from_utf8_lossy(payload);
                    if text.contains(r#""type":"error""#) {
                        got.count(word(&text, r#""code":""#).unwrap_or("error"));
                    }
                    take(&text);
                }
                8 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    got.count(format!("close {code}"));
                }
                _ => {}
            }
            at += header + length;
            frames += 1;
        }
        self.rest.drain(..at);
        frames
    }
}

/// What stands between this and the next quote.
fn word<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split('"').next()
}

/// A masked frame with this opcode.
pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        middle @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend([MASK; 4]);
    frame.extend(payload.iter().map(|byte| byte ^ MASK));
    frame
}

pub fn text(payload: &str) -> Vec<u8> {
    frame(1, payload.as_bytes())
}

/// Calls `step` so often a second until the time is over.
pub fn paced(until: Instant, per_second: f64, mut step: impl FnMut()) {
    let begun = Instant::now();
    let mut made = 0.0;
    while Instant::now() < until {
        step();
        made += 1.0;
        let due = begun + Duration::from_secs_f64(made / per_second);
        thread::sleep(due.min(until).saturating_duration_since(Instant::now()));
    }
}
