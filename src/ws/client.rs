//! Owns the client side of a WebSocket where thousands share one thread: a connection is its
//! socket and two small buffers, and reads go through one buffer for all.

mod codec;
mod handshake;

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use self::codec::Header;
pub(crate) use self::{
    codec::{ClientFrame, put_frame},
    handshake::{ClientRequest, HandshakeError},
};
use super::dial::ByteStream;

const READ_BYTES: usize = 64 * 1024;
/// The longest message, also in fragments: a client reads what a server sends, but not for ever.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// A write buffer that grew past this is freed once it is empty.
const MAX_KEPT_BYTES: usize = 64 * 1024;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct ClientSocket {
    stream: ByteStream,
    /// The first part of a frame whose rest has not arrived.
    rest: Vec<u8>,
    /// The fragments of a message so far.
    fragments: Option<Vec<u8>>,
    /// Frames to write; the first `written` bytes are on their way.
    out: Vec<u8>,
    written: usize,
}

impl ClientSocket {
    /// `rest` is what the server sent behind its handshake.
    fn new(stream: ByteStream, rest: Vec<u8>) -> Self {
        Self { stream, rest, fragments: None, out: Vec::new(), written: 0 }
    }

    /// The bytes that wait for the socket.
    pub(crate) fn waiting(&self) -> usize {
        self.out.len() - self.written
    }

    /// Queues a text frame; [`Self::poll_flush`] writes it.
    pub(crate) fn put_text(&mut self, payload: &[u8]) {
        put_frame(&mut self.out, TEXT, payload);
    }

    /// Queues a close frame with code 1000.
    pub(crate) fn put_close(&mut self) {
        put_frame(&mut self.out, CLOSE, &1000_u16.to_be_bytes());
    }

    /// Writes what is queued; ready when nothing is.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.out.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.out[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        if self.written > 0 {
            (self.written, self.out) = match self.out.capacity() {
                ..=MAX_KEPT_BYTES => (0, std::mem::take(&mut self.out)),
                _ => (0, Vec::new()),
            };
            self.out.clear();
            // TLS has a buffer of its own.
            if let ByteStream::Tls(stream) = &mut self.stream {
                return Pin::new(stream).poll_flush(context);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, at most `max` bytes, and calls `each` with every frame that is whole now, except
    /// pings, which are answered. `each` must not read from a socket. Returns the bytes read.
    ///
    /// # Errors
    /// The connection ended without a close frame (`UnexpectedEof`), or broke the protocol
    /// (`InvalidData`).
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        max: usize,
        mut each: impl FnMut(ClientFrame<'_>),
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let kept = self.rest.len();
            if scratch.len() < kept + READ_BYTES {
                scratch.resize(kept + READ_BYTES, 0);
            }
            let mut buffer = ReadBuf::new(&mut scratch[kept..kept + READ_BYTES.min(max.max(1))]);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            let read = buffer.filled().len();
            if read == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            scratch[..kept].copy_from_slice(&self.rest);
            self.rest.clear();
            let result = self.take(&scratch[..kept + read], &mut each);
            if scratch.len() > 16 * READ_BYTES {
                *scratch = Vec::new();
            }
            Poll::Ready(result.map(|()| read))
        })
    }

    /// As [`Self::poll_read`], for what came together with the handshake.
    ///
    /// # Errors
    /// `InvalidData`.
    pub(crate) fn take_first(&mut self, mut each: impl FnMut(ClientFrame<'_>)) -> io::Result<()> {
        let first = std::mem::take(&mut self.rest);
        self.take(&first, &mut each)
    }

    fn take(&mut self, mut bytes: &[u8], each: &mut impl FnMut(ClientFrame<'_>)) -> io::Result<()> {
        while let Some(header) = Header::read(bytes)? {
            if header.payload > MAX_MESSAGE_BYTES {
                return Err(invalid("a message over 64 MiB"));
            }
            let Some(payload) = bytes.get(header.bytes..header.bytes + header.payload) else { break };
            bytes = &bytes[header.bytes + header.payload..];
            self.frame(&header, payload, each)?;
        }
        self.rest.extend_from_slice(bytes);
        Ok(())
    }

    fn frame(&mut self, header: &Header, payload: &[u8], each: &mut impl FnMut(ClientFrame<'_>)) -> io::Result<()> {
        match (header.opcode, header.is_final, &mut self.fragments) {
            (1, true, None) => each(ClientFrame::Text(payload)),
            (1, false, None) => self.fragments = Some(payload.to_vec()),
            (0, is_final, Some(fragments)) => {
                if fragments.len() + payload.len() > MAX_MESSAGE_BYTES {
                    return Err(invalid("a message over 64 MiB"));
                }
                fragments.extend_from_slice(payload);
                if is_final && let Some(message) = self.fragments.take() {
                    each(ClientFrame::Text(&message));
                }
            }
            (8, true, _) => each(ClientFrame::close(payload)),
            (9, true, _) => put_frame(&mut self.out, PONG, payload),
            (10, true, _) => {}
            (2, ..) => return Err(invalid("a binary frame")),
            _ => return Err(invalid("a frame that RFC 6455 forbids here")),
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
