//! Owns the last seconds of a socket: the closing frames go out, the peer's bytes are thrown away,
//! then the socket is shut. `registry::shard` waits for the last one before the process ends.

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

/// How long a silent peer may take to read our last frames and close its side.
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a peer may go on sending what it had under way: a reset in the middle of it would destroy the close frame.
const SENDING_TIMEOUT: Duration = Duration::from_secs(10);
/// With more lingering sockets than this on the shard, [`QUIET_TIMEOUT`] holds for a sending peer, too.
const MANY_LINGERING: usize = 128;
/// Sockets that may linger on one shard at once; past it a socket is dropped at once, unread frames and all.
const MAX_LINGERING: usize = 1024;
/// Bytes thrown away for one peer that keeps sending; one that streams a huge frame still gets to read why it failed.
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

/// Lets the socket end in good order on its own task.
///
/// Dropping a socket with unread bytes makes the kernel reset it, and a reset can destroy the close frame before
/// the peer has read it: so the frames are flushed, our side is shut, and the rest is read and thrown away.
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

/// Resolves when no socket of this shard lingers any more, at the latest after [`QUIET_TIMEOUT`]: by then whoever reads
/// has our last frames.
pub async fn all_gone() {
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
