//! Owns the last seconds of a socket: its closing frames are written, the peer's bytes are
//! discarded, then the socket is shut.

use std::{
    cell::{Cell, RefCell},
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncRead as _, ReadBuf},
    net::tcp::OwnedReadHalf,
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{flush::Flusher, outbox::Outbox};

/// How long a silent peer may take to read the last frames and close its side.
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a peer may continue to send what it had begun: a reset meanwhile would destroy the
/// close frame.
const SENDING_TIMEOUT: Duration = Duration::from_secs(10);
/// With more lingering sockets than this on the shard, [`QUIET_TIMEOUT`] applies to a sending peer,
/// too.
const MANY_LINGERING: usize = 128;
/// Sockets that may linger on one shard. Past it a socket is dropped at once, with its unread
/// frames.
const MAX_LINGERING: usize = 1024;
/// Bytes discarded for one peer that keeps sending. Large enough for a peer that streams a huge
/// frame to read why it failed.
const MAX_DISCARDED_BYTES: u64 = 512 * 1024 * 1024;

thread_local! {
    static LINGERING: Rc<Lingering> = Rc::default();
    static DISCARD: RefCell<Box<[u8]>> = RefCell::new(vec![0; 64 * 1024].into_boxed_slice());
}

#[derive(Default)]
struct Lingering {
    count: Cell<usize>,
    changed: Notify,
}

/// Lets the socket end in good order, on a task of its own.
///
/// Dropping a socket with unread bytes makes the kernel reset it, and a reset can destroy the close
/// frame before the peer has read it. So this flushes the frames, shuts the write side, and
/// discards what the peer still sends.
pub(super) fn linger(half: OwnedReadHalf, outbox: Rc<Outbox>, flusher: Rc<Flusher>) {
    let lingering = LINGERING.with(Rc::clone);
    if lingering.count.get() >= MAX_LINGERING {
        return;
    }
    let longest = if lingering.count.get() < MANY_LINGERING { SENDING_TIMEOUT } else { QUIET_TIMEOUT };
    lingering.count.set(lingering.count.get() + 1);
    let guard = Guard(lingering);
    actix_rt::spawn(async move {
        let _ = timeout(longest, finish(half, &outbox, &flusher)).await;
        drop(guard);
    });
}

/// Resolves when no socket of this shard lingers any more, at the latest after [`QUIET_TIMEOUT`],
/// by when every peer that reads has the last frames.
pub(crate) async fn all_gone() {
    let lingering = LINGERING.with(Rc::clone);
    let gone = async {
        while lingering.count.get() > 0 {
            lingering.changed.notified().await;
        }
    };
    let _ = timeout(QUIET_TIMEOUT, gone).await;
}

struct Guard(Rc<Lingering>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.changed.notify_waiters();
    }
}

async fn finish(mut half: OwnedReadHalf, outbox: &Rc<Outbox>, flusher: &Flusher) {
    let mut discarded = 0;
    let mut shut = false;
    let mut quiet = pin!(sleep(QUIET_TIMEOUT));
    poll_fn(|context| {
        loop {
            if !outbox.is_empty() {
                flusher.flush(outbox);
            }
            if outbox.is_empty() {
                if !shut {
                    shut = true;
                    let _ = socket2::SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write);
                }
            } else {
                match half.as_ref().poll_write_ready(context) {
                    Poll::Ready(Ok(())) => continue,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            let read = DISCARD.with_borrow_mut(|buffer| {
                let mut read = ReadBuf::new(buffer);
                Pin::new(&mut half).poll_read(context, &mut read).map_ok(|()| read.filled().len())
            });
            match read {
                Poll::Ready(Ok(count)) if count > 0 && discarded < MAX_DISCARDED_BYTES => {
                    discarded += count as u64;
                    quiet.as_mut().reset(Instant::now() + QUIET_TIMEOUT);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return quiet.as_mut().poll(context),
            }
        }
    })
    .await;
}
