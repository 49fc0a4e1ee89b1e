//! Owns a client's socket as cheap as it can be: the handshake, a walk over the server's frames,
//! and masked frames.

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

/// Source addresses that connections are spread over: one address has no more than some 28,000
/// ports.
const ADDRESSES: usize = 100;
const READ_BYTES: usize = 64 * 1024;
/// The same in all four places, so that a byte is masked wherever it stands. RFC 6455 wants it
/// unpredictable, but servers do not check that.
pub const MASK: u8 = 0x5a;

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
    /// Connects and waits for the welcome.
    ///
    /// # Errors
    /// When the server refuses, or closes before it welcomes.
    pub async fn join(server: SocketAddr, index: usize, path: &str) -> io::Result<Self> {
        let (mut reader, writer, mut first) = open(server, index, path).await?;
        while first.is_empty() {
            reader.frames(|frame| first.push(String::from_utf8_lossy(frame).into_owned())).await?;
        }
        let welcome = first.swap_remove(0);
        if !welcome.starts_with(r#"{"type":"welcome""#) {
            return Err(io::Error::other(format!("in place of a welcome came {welcome}")));
        }
        Ok(Self { reader, writer, welcome })
    }
}

/// Connects from one of many addresses, chosen by `index`; returns also the frames that came right
/// behind the handshake.
///
/// # Errors
/// When the server refuses.
pub async fn open(server: SocketAddr, index: usize, path: &str) -> io::Result<(Reader, OwnedWriteHalf, Vec<String>)> {
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
    let mut first = Vec::new();
    walk(&mut reader.rest, &head[end..], &mut |frame: &[u8]| first.push(String::from_utf8_lossy(frame).into_owned()));
    Ok((reader, writer, first))
}

/// A client's text frame, masked.
pub fn masked_text(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend([MASK; 4]);
    frame.extend(text.bytes().map(|byte| byte ^ MASK));
    frame
}

/// Overwrites digits of a masked frame with a number, from the right.
pub fn put(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = (b'0' + (value % 10) as u8) ^ MASK;
        value /= 10;
    }
}

/// Parses these digits.
pub fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

impl Reader {
    /// Waits for bytes, reads once, and hands over the payloads of the text frames that are
    /// complete with them.
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

/// The lengths of a server's frame's header and payload, once the header is there.
pub fn frame_size(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? {
        126 => Some((4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => Some((10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?)),
        length => Some((2, usize::from(length))),
    }
}

/// # Errors
/// When the connection has ended.
pub async fn write_all(writer: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
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
