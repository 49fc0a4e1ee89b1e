//! Owns an accepted socket until its upgrade: what actix-http may read of it, its deadlines, and
//! its permit among all sockets.
//!
//! actix-http reads up to 128 KiB and decodes all requests in it before it writes, polls itself
//! without end when requests wait behind an unread response, and has no deadline after the first
//! head. So this stream gives it the bytes in small slices, none while a response is unwritten, and
//! an error when a deadline has passed.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use actix_rt::net::TcpStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::flow::{KEEP_ALIVE, RequestFlow, RequestPhase};
use crate::{gate::Sockets, observe::metrics::Metrics};

/// Bytes of requests' heads in one turn, because all pipelined requests in them are decoded and
/// answered at once.
const HEAD_SLICE: usize = 1024;
/// Bytes of a body in one turn.
const SLICE: usize = 4096;
/// Bytes that a closing connection may still send.
const MAX_DISCARDED: usize = 256 * 1024;

/// Descriptors of the process that are no client's: listeners, event loops, log and store.
const OWN_FILES: usize = 100;
/// Sockets that are served however short descriptors are.
const MIN_OPEN: usize = 16;

/// The permits of all sockets that are not upgraded yet. Shared by the HTTP workers.
pub(crate) struct SocketPermits {
    sockets: Mutex<Sockets<Arc<EvictionSignal>>>,
    /// Nine tenths of the process's descriptor limit: the last tenth is for upgrades.
    max_files: usize,
    metrics: Arc<Metrics>,
}

/// Tells a socket's owner to close it.
#[derive(Default)]
struct EvictionSignal {
    is_given: AtomicBool,
    owner: Mutex<Option<Waker>>,
}

impl EvictionSignal {
    fn give(&self) {
        self.is_given.store(true, Ordering::Release);
        if let Some(owner) = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take() {
            owner.wake();
        }
    }

    /// Registers the task to wake. Do this before the socket is listed as idle, which allows its
    /// eviction.
    fn listen(&self, waker: &Waker) {
        *self.owner.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl SocketPermits {
    /// `max_files` is the process's descriptor limit.
    pub(crate) fn new(max_per_address: usize, max_files: u64, metrics: Arc<Metrics>) -> Self {
        let max_files = usize::try_from(max_files).unwrap_or(usize::MAX) / 10 * 9;
        Self { sockets: Mutex::new(Sockets::new(max_per_address)), max_files, metrics }
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets<Arc<EvictionSignal>>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a permit for a socket of this address, and whether descriptors are short; `None` if
    /// the address holds as many sockets as it may.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<(SocketPermit, bool)> {
        let connections = usize::try_from(self.metrics.connections.get()).unwrap_or(0);
        let max_open = self.max_files.saturating_sub(OWN_FILES + connections).max(MIN_OPEN);
        let signal = Arc::<EvictionSignal>::default();
        let entry = {
            let mut sockets = self.sockets();
            let entry = sockets.enter(address, max_open, signal.clone()).ok()?;
            self.metrics.http_sockets.set(sockets.open() as i64);
            entry
        };
        if let Some(evicted) = entry.evicted {
            evicted.give();
        }
        Some((SocketPermit { places: self.clone(), number: entry.number, is_idle: false, signal }, entry.is_spare))
    }
}

/// One socket's permit; dropping it releases it.
pub(super) struct SocketPermit {
    places: Arc<SocketPermits>,
    number: u64,
    is_idle: bool,
    signal: Arc<EvictionSignal>,
}

impl SocketPermit {
    fn waits(&mut self, waker: &Waker) {
        self.signal.listen(waker);
        if !self.is_idle {
            self.is_idle = true;
            self.places.sockets().set_idle(self.number, true);
        }
    }

    fn works(&mut self) {
        if self.is_idle {
            self.is_idle = false;
            self.places.sockets().set_idle(self.number, false);
        }
    }

    fn is_evicted(&self) -> bool {
        self.signal.is_given.load(Ordering::Acquire)
    }
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        let mut sockets = self.places.sockets();
        sockets.leave(self.number);
        self.places.metrics.http_sockets.set(sockets.open() as i64);
    }
}

/// A socket as actix-http sees it.
pub(super) struct Stream {
    socket: TcpStream,
    place: SocketPermit,
    flow: Rc<RequestFlow>,
    timer: Pin<Box<Sleep>>,
    armed_for: Option<Instant>,
    /// Since when the peer takes nothing of the response.
    stalled_since: Option<Instant>,
    /// A slice was read in this turn.
    has_read: bool,
    /// A read was postponed until the response is written.
    has_held_back: bool,
    is_shut: bool,
    discarded: usize,
}

impl Stream {
    /// Gives the socket back as an error if its address holds as many as it may.
    pub(super) fn accept(
        socket: TcpStream,
        places: &Arc<SocketPermits>,
        request_timeout: Duration,
    ) -> Result<Self, TcpStream> {
        let Some((place, is_spare)) = socket.peer_addr().ok().and_then(|peer| places.enter(peer.ip())) else {
            return Err(socket);
        };
        Ok(Self {
            socket,
            place,
            flow: Rc::new(RequestFlow::new(request_timeout, is_spare)),
            timer: Box::pin(sleep(request_timeout)),
            armed_for: None,
            stalled_since: None,
            has_read: false,
            has_held_back: false,
            is_shut: false,
            discarded: 0,
        })
    }

    pub(super) fn peer(&self) -> Option<std::net::SocketAddr> {
        self.socket.peer_addr().ok()
    }

    pub(super) fn flow(&self) -> Rc<RequestFlow> {
        self.flow.clone()
    }

    /// Returns the socket for an upgrade, with its permit, which must live until admission decides.
    pub(super) fn into_parts(self) -> (TcpStream, SocketPermit) {
        (self.socket, self.place)
    }

    /// Returns an error once the deadline has passed, and wakes the task then.
    fn check_deadline(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let stalled = self.stalled_since.map(|since| since + KEEP_ALIVE);
        let Some(deadline) = stalled.or_else(|| self.flow.deadline()) else { return Ok(()) };
        if self.armed_for != Some(deadline) {
            self.armed_for = Some(deadline);
            self.timer.as_mut().reset(deadline.into());
        }
        match self.timer.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Reads at most `max` bytes, through a buffer of a slice's size because actix-http's is
    /// larger.
    fn poll_slice(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = [0; SLICE];
        let max = max.min(buffer.remaining()).min(SLICE);
        let mut slice = ReadBuf::new(&mut bytes[..max]);
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut slice))?;
        buffer.put_slice(slice.filled());
        Poll::Ready(Ok(slice.filled().len()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.place.is_evicted() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        this.check_deadline(context)?;
        if this.stalled_since.is_some() || this.flow.holds_back() {
            this.has_held_back = true;
            return Poll::Pending;
        }
        if std::mem::take(&mut this.has_read) {
            // The bytes read before are decoded and answered first.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let max = if matches!(this.flow.phase(), RequestPhase::Idle | RequestPhase::Head) { HEAD_SLICE } else { SLICE };
        match this.poll_slice(context, buffer, max) {
            Poll::Pending => {
                if this.flow.phase() == RequestPhase::Idle {
                    this.place.waits(context.waker());
                    if this.place.is_evicted() {
                        return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                    }
                }
                Poll::Pending
            }
            Poll::Ready(Ok(bytes)) => {
                this.has_read = bytes > 0;
                if this.has_read && this.flow.phase() == RequestPhase::Idle {
                    this.place.works();
                    this.flow.set(RequestPhase::Head);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.socket).poll_write(context, bytes) {
            Poll::Pending => {
                this.stalled_since.get_or_insert_with(Instant::now);
                this.check_deadline(context)?;
                Poll::Pending
            }
            ready => {
                this.stalled_since = None;
                ready
            }
        }
    }

    /// actix-http calls this when it has nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_flush(context))?;
        this.flow.flushed();
        if this.has_held_back && !this.flow.holds_back() {
            this.has_held_back = false;
            context.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    /// Closes our side, then waits shortly for the peer's end: dropping a socket with unread bytes
    /// resets it, and the response would be lost.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_shut {
            ready!(Pin::new(&mut this.socket).poll_shutdown(context))?;
            this.is_shut = true;
            this.stalled_since = None;
            this.flow.set(RequestPhase::Closing);
        }
        let mut bytes = [0; SLICE];
        while this.discarded < MAX_DISCARDED && this.check_deadline(context).is_ok() {
            let mut thrown_away = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.socket).poll_read(context, &mut thrown_away) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if !thrown_away.filled().is_empty() => this.discarded += thrown_away.filled().len(),
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
