//! Owns a player's socket as cheap as it can be: the handshake, a walk over the server's frames, and prepared bursts.
//! Called by `load` and `recovery`.

use std::{
    future::poll_fn,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    task::ready,
};

use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::{
        TcpSocket,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Source addresses that connections are spread over: one address has no more than some 28,000 ports.
const ADDRESSES: usize = 100;
const READ_BYTES: usize = 64 * 1024;
/// The same in all four places, so that a byte is masked wherever it stands. Servers need not mind; RFC 6455 does.
const MASK: u8 = 0x5a;
/// Digits of the time and of the number that begin the `data` of a message.
const TIME_DIGITS: usize = 13;
const ID_DIGITS: usize = 10;
/// Bytes of `data`, without its quotes.
pub const DATA_BYTES: usize = 64;
/// The first id: from here on they all have the same number of digits.
const FIRST_ID: u64 = 1_000_000_000;

/// One that has been welcomed.
pub struct Player {
    pub reader: Reader,
    pub writer: OwnedWriteHalf,
    /// The frame, as text.
    pub welcome: String,
}

pub struct Reader {
    socket: OwnedReadHalf,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
}

impl Player {
    /// Connects from one of many addresses, chosen by `index`, and waits for the welcome.
    ///
    /// # Errors
    /// When the server refuses, or closes before it welcomes.
    pub async fn join(server: SocketAddr, index: usize, path: &str) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 1, 1 + (index % ADDRESSES) as u8), 0)))?;
        let stream = socket.connect(server).await?;
        stream.set_nodelay(true)?;
        let (socket, writer) = stream.into_split();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        write_all(&writer, request.as_bytes()).await?;
        let mut reader = Reader { socket, rest: Vec::new() };
        let mut head = Vec::new();
        let end = loop {
            reader.read(|chunk| head.extend_from_slice(chunk)).await?;
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !head.starts_with(b"HTTP/1.1 101 ") {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Err(io::Error::other(String::from_utf8_lossy(line)));
        }
        let mut welcome = None;
        let mut keep = |frame: &[u8]| {
            welcome.get_or_insert_with(|| String::from_utf8_lossy(frame).into_owned());
        };
        walk(&mut reader.rest, &head[end..], &mut keep);
        while welcome.is_none() {
            reader
                .frames(|frame| {
                    welcome.get_or_insert_with(|| String::from_utf8_lossy(frame).into_owned());
                })
                .await?;
        }
        let welcome = welcome.filter(|frame| frame.starts_with(r#"{"type":"welcome""#));
        let welcome = welcome.ok_or_else(|| io::Error::other("something came before the welcome"))?;
        Ok(Self { reader, writer, welcome })
    }
}

impl Reader {
    /// Waits for bytes, reads once, and hands over the payloads of the text frames that are complete with them.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn frames(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut rest = std::mem::take(&mut self.rest);
        let result = self.read(|chunk| walk(&mut rest, chunk, &mut take)).await;
        self.rest = rest;
        result
    }

    async fn read(&mut self, take: impl FnOnce(&[u8])) -> io::Result<()> {
        let mut take = Some(take);
        poll_fn(|context| {
            // On the stack and not in the task: thousands of tasks wait at once.
            let mut space = [std::mem::MaybeUninit::uninit(); READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.socket).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into()).into();
            }
            if let Some(take) = take.take() {
                take(buffer.filled());
            }
            Ok(()).into()
        })
        .await
    }
}

/// Takes the text frames of a stream apart; servers do not mask theirs.
fn walk(rest: &mut Vec<u8>, chunk: &[u8], take: &mut impl FnMut(&[u8])) {
    let joined;
    let mut bytes = if rest.is_empty() {
        chunk
    } else {
        rest.extend_from_slice(chunk);
        joined = std::mem::take(rest);
        joined.as_slice()
    };
    while let Some((header, length)) = frame_size(bytes) {
        let Some(payload) = bytes.get(header..header + length) else { break };
        if bytes[0] == 0x81 {
            take(payload);
        }
        bytes = &bytes[header + length..];
    }
    rest.extend_from_slice(bytes);
}

fn frame_size(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        126 => Some((4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => Some((10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?)),
        length => Some((2, usize::from(length))),
    }
}

/// A message that [`Bursts`] made, as a member sees it.
pub struct Seen {
    /// Nanoseconds, on the clock of whoever sent it.
    pub sent: u64,
    /// 0, 1, 2 … of one publisher.
    pub number: u64,
}

impl Seen {
    /// `None` for other frames. Relies on `data` being the last field.
    pub fn in_frame(frame: &[u8]) -> Option<Self> {
        let data = frame.strip_suffix(b"\"}")?;
        let (head, data) = data.split_at_checked(data.len().checked_sub(DATA_BYTES)?)?;
        if !head.ends_with(b"\"data\":\"") || !head.starts_with(b"{\"type\":\"message\"") {
            return None;
        }
        let (time, id) = data[..TIME_DIGITS + ID_DIGITS].split_at(TIME_DIGITS);
        Some(Self { sent: number(time)?, number: number(id)?.checked_sub(FIRST_ID)? })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

/// One publisher's `send` frames, prepared and masked; only digits are filled in.
pub struct Bursts {
    writer: OwnedWriteHalf,
    frame: Vec<u8>,
    id_at: usize,
    data_at: usize,
    out: Vec<u8>,
    /// Frames made so far, and so the next one's number.
    pub made: u64,
}

impl Bursts {
    pub fn new(writer: OwnedWriteHalf) -> Self {
        let data = format!("{:0>1$}{FIRST_ID}{2:x>3$}", 0, TIME_DIGITS, "", DATA_BYTES - TIME_DIGITS - ID_DIGITS);
        let text = format!(r#"{{"type":"send","id":{FIRST_ID},"data":"{data}"}}"#);
        let mut frame = vec![0x81, 0x80 | text.len() as u8, MASK, MASK, MASK, MASK];
        assert!(text.len() < 126, "a short frame");
        let find = |what: &str| text.find(what).map_or(0, |at| at + what.len() + frame.len());
        let (id_at, data_at) = (find(r#""id":"#), find(r#""data":""#));
        frame.extend(text.bytes().map(|byte| byte ^ MASK));
        Self { writer, frame, id_at, data_at, out: Vec::new(), made: 0 }
    }

    /// Sends so many messages in one write, stamped with this time; what the socket does not take waits for the next call.
    /// Zero sends only what waits. Returns whether all is written.
    pub fn send(&mut self, count: u64, now: u64) -> bool {
        for _ in 0..count {
            let id = FIRST_ID + self.made;
            put(&mut self.frame[self.id_at..][..ID_DIGITS], id);
            put(&mut self.frame[self.data_at..][..TIME_DIGITS], now);
            put(&mut self.frame[self.data_at + TIME_DIGITS..][..ID_DIGITS], id);
            self.out.extend_from_slice(&self.frame);
            self.made += 1;
        }
        // Whether the connection has ended, its reader finds out.
        if let Ok(written) = self.writer.try_write(&self.out) {
            self.out.drain(..written);
        }
        self.out.is_empty()
    }
}

fn put(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = (b'0' + (value % 10) as u8) ^ MASK;
        value /= 10;
    }
}

async fn write_all(writer: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        writer.writable().await?;
        match writer.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
