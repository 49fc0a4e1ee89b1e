//! Owns one accepted TCP socket after the handshake: its two halves, and the stream of messages
//! read from it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io::{self, IoSlice},
    net::TcpStream as StdTcpStream,
    ops::ControlFlow,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use actix_web_actors::ws::Message;
use futures_core::Stream;
use tokio::{
    io::{AsyncRead as _, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Sleep, sleep},
};

use super::{
    decoder::{DecodeError, Decoder},
    errors::Errors,
    flush::Flusher,
    frame,
    linger::linger,
    outbox::{ByteSink, Outbox, Policy},
};

/// How often a socket that is not read is probed. After two probes a vanished peer is detected.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(400);
/// Size of the shard's read buffer. All its sockets share it, so an idle connection holds none.
const READ_BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER_BYTES].into_boxed_slice());
}

/// Why the stream of messages ended with an error.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The bytes break RFC 6455 or exceed a bound; the peer gets a close code.
    Decode(DecodeError),
    /// The socket ended or failed.
    Lost,
}

/// One decoded frame of the peer.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// `Nop` for a fragment that does not end its message.
    pub message: Message,
    /// Payload bytes of this frame alone, as sent (S5a).
    pub payload_bytes: usize,
}

/// Counters and a limit that a connection shares with its socket.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// Bytes so far; for the last log line.
    pub bytes_in: Cell<u64>,
    pub bytes_out: Cell<u64>,
    /// S4. A change applies from the next read on.
    pub max_message_bytes: Cell<usize>,
}

/// The write half, as the outbox's sink.
pub(crate) struct SocketWriter {
    half: OwnedWriteHalf,
    traffic: Rc<Traffic>,
}

impl ByteSink for SocketWriter {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // One slice is the common case, and `write` is cheaper than `writev`.
        let written = match slices {
            [one] => self.half.try_write(one)?,
            many => self.half.try_write_vectored(many)?,
        };
        self.traffic.bytes_out.set(self.traffic.bytes_out.get() + written as u64);
        Ok(written)
    }
}

/// The peer's messages, until the outbox closes, the socket ends, or the bytes break a rule.
///
/// Also continues writing when a blocked socket takes bytes again: both directions wake one task.
///
/// Dropping it lets the socket linger, so that the closing frames reach the peer.
pub(crate) struct SocketReader {
    /// `None` only during `drop`.
    half: Option<OwnedReadHalf>,
    decoder: Decoder,
    /// Messages decoded from the last read and not yet returned; at most one read's worth.
    pending: VecDeque<Arrived>,
    /// Returned after the messages that came before it.
    error: Option<DecodeError>,
    outbox: Rc<Outbox>,
    flusher: Rc<Flusher>,
    traffic: Rc<Traffic>,
    /// Timer of the next probe. Set from a pause of reading until everything that arrived is read.
    probe: Option<Pin<Box<Sleep>>>,
}

pub(crate) struct Socket {
    pub reader: SocketReader,
    pub outbox: Rc<Outbox>,
    pub traffic: Rc<Traffic>,
}

/// Bounds of one socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketLimits {
    /// S4.
    pub max_message_bytes: usize,
    /// S6.
    pub outbox_bytes: usize,
    pub errors: Errors,
}

impl Socket {
    /// Registers a socket that another thread accepted with this shard's event loop. `early` are
    /// the bytes that followed the handshake.
    ///
    /// # Errors
    /// Fails if the event loop cannot take the socket.
    pub(crate) fn open(
        stream: StdTcpStream,
        early: &[u8],
        flusher: Rc<Flusher>,
        limits: SocketLimits,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        // Where accepted sockets do not inherit the listener's options, this sets it.
        stream.set_nodelay(true)?;
        let (read_half, write_half) = stream.into_split();
        let traffic = Rc::new(Traffic { max_message_bytes: Cell::new(limits.max_message_bytes), ..Traffic::default() });
        let writer = SocketWriter { half: write_half, traffic: traffic.clone() };
        let outbox = Outbox::new(Box::new(writer), flusher.clone(), limits.outbox_bytes);
        outbox.set_errors(limits.errors);
        let mut reader = SocketReader {
            half: Some(read_half),
            decoder: Decoder::new(limits.max_message_bytes),
            pending: VecDeque::new(),
            error: None,
            outbox: outbox.clone(),
            flusher,
            traffic: traffic.clone(),
            probe: None,
        };
        if !early.is_empty() {
            reader.decode(&mut early.to_vec());
        }
        Ok(Self { reader, outbox, traffic })
    }
}

impl SocketReader {
    fn decode(&mut self, bytes: &mut [u8]) {
        let count = bytes.len() as u64;
        self.traffic.bytes_in.set(self.traffic.bytes_in.get() + count);
        self.flusher.stats().bytes_in(count);
        self.decoder.set_max_message_bytes(self.traffic.max_message_bytes.get());
        let pending = &mut self.pending;
        let take = &mut |message, payload_bytes| {
            pending.push_back(Arrived { message, payload_bytes });
            ControlFlow::Continue(())
        };
        self.error = self.decoder.feed(bytes, take).err();
    }

    /// Detects a vanished peer while nothing is read; ready when it is gone. The end of its stream
    /// shows in the socket's readiness, unless unread data stands before it. So this also sends a
    /// frame that needs no reply: a machine that no longer has the socket answers it with a reset.
    fn poll_probe(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let probe = self.probe.get_or_insert_with(|| Box::pin(sleep(PROBE_INTERVAL)));
        while probe.as_mut().poll(context).is_ready() {
            let Some(half) = &self.half else { return Poll::Ready(()) };
            let readiness = pin!(half.ready(Interest::READABLE));
            match readiness.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(ready)) if !ready.is_read_closed() => {}
                Poll::Pending => {}
                Poll::Ready(_) => return Poll::Ready(()),
            }
            if self.outbox.is_empty() {
                self.outbox.queue(frame::pong(&[]), Policy::Live, Instant::now());
            }
            *probe = Box::pin(sleep(PROBE_INTERVAL));
        }
        Poll::Pending
    }

    /// Reads once into the shard's buffer and decodes into `pending`.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ReadError>> {
        READ_BUFFER.with_borrow_mut(|buffer| {
            let Some(half) = &mut self.half else { return Poll::Ready(Err(ReadError::Lost)) };
            let mut read = ReadBuf::new(buffer);
            match ready!(Pin::new(half).poll_read(context, &mut read)) {
                Ok(()) if !read.filled().is_empty() => {
                    self.decode(read.filled_mut());
                    Poll::Ready(Ok(()))
                }
                Ok(()) | Err(_) => Poll::Ready(Err(ReadError::Lost)),
            }
        })
    }
}

impl Drop for SocketReader {
    fn drop(&mut self) {
        // Without a cause the thread itself is ending, and cannot spawn.
        if let Some(half) = self.half.take()
            && self.outbox.cause().is_some()
        {
            linger(half, self.outbox.clone(), self.flusher.clone());
        }
    }
}

impl Stream for SocketReader {
    type Item = Result<Arrived, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        this.outbox.set_reader(context.waker());
        loop {
            if this.outbox.cause().is_some() {
                return Poll::Ready(None);
            }
            if this.outbox.is_blocked()
                && let Some(half) = &this.half
                && let Poll::Ready(writable) = half.as_ref().poll_write_ready(context)
            {
                match writable {
                    Ok(()) => this.flusher.flush(&this.outbox),
                    Err(_) => return Poll::Ready(Some(Err(ReadError::Lost))),
                }
                // If it is blocked again, the readiness was stale: poll for the next one, or see
                // the cause.
                continue;
            }
            // This comes before messages that are decoded already: there is no place for them at
            // the moment.
            if this.outbox.is_reading_paused() {
                return this.poll_probe(context).map(|()| Some(Err(ReadError::Lost)));
            }
            if let Some(arrived) = this.pending.pop_front() {
                return Poll::Ready(Some(Ok(arrived)));
            }
            if this.pending.capacity() > 4 {
                this.pending = VecDeque::new();
            }
            if let Some(error) = this.error.take() {
                return Poll::Ready(Some(Err(ReadError::Decode(error))));
            }
            match this.poll_fill(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => {
                    // The probe must stay until here: a throttled client is read a little between
                    // two pauses, and only a socket without unread data shows the end of the
                    // stream.
                    this.probe = None;
                    return Poll::Pending;
                }
            }
        }
    }
}
