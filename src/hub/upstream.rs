//! Owns a hub's connection to its upstream: it carries out the outputs of the pure `Uplink`, and
//! passes it what happens.

use std::{sync::Arc, time::Duration};

use actix::{ActorFutureExt as _, AsyncContext as _, Context, SpawnHandle};
use bytestring::ByteString;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, mpsc},
    time::timeout,
};

use super::{
    actor::Hub,
    source::{HubSource, UpstreamPlan},
    uplink::{Counts, FeedStatus, Uplink},
};
use crate::{
    clock::Now,
    observe::metrics::HubMetrics,
    ws::{Incoming, LinkError, LinkReader, LinkWriter, Outgoing},
};

/// Frames that wait to be written. An uplink sends at most 1000 in one turn, and paces them: more
/// than this means that the upstream does not read.
const MAX_OUTGOING: usize = 2048;
/// Frames that were read and not handled yet; at this bound nothing more is read.
const MAX_INCOMING: usize = 256;
/// How long an upstream may take to answer our close frame; then its socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Received = Result<Incoming, LinkError>;

pub(super) struct Upstream {
    plan: UpstreamPlan,
    pub uplink: Uplink,
    /// Locked by a connection until its socket is closed, so that there is never more than one.
    line: Arc<Mutex<()>>,
    link: UpstreamLink,
    /// The counts that are in the metrics already.
    counted: Counts,
}

enum UpstreamLink {
    None,
    Dialing(SpawnHandle),
    Open { outgoing: mpsc::Sender<Outgoing>, reading: SpawnHandle },
}

/// What a connection holds while its socket is open.
struct Lease {
    _line: OwnedMutexGuard<()>,
    _permit: OwnedSemaphorePermit,
}

/// An error comes with the time that the upstream asks to wait (`Retry-After`), if it does.
type Dialed = Result<(LinkReader, LinkWriter, Lease), (String, Option<Duration>)>;

impl Upstream {
    pub(super) fn new(plan: UpstreamPlan, now: Now) -> Self {
        let uplink = Uplink::new(plan.feed.clone(), fastrand::Rng::new(), now);
        Self { plan, uplink, line: Arc::default(), link: UpstreamLink::None, counted: Counts::default() }
    }

    /// Dials. The uplink gets `opened` or `failed`.
    pub(super) fn connect(&mut self, context: &mut Context<Hub>) {
        let (UpstreamPlan { feed, dialer, permits }, line) = (self.plan.clone(), self.line.clone());
        let dial = async move {
            // An upstream that limits connections counts the old one until its socket is closed.
            let line = line.lock_owned().await;
            let permit = permits.try_acquire_owned();
            let permit = permit.map_err(|_| ("all MAX_UPSTREAM_CONNECTIONS are in use".to_owned(), None))?;
            let dialed = dialer.dial(&feed.endpoint, None).await;
            let (reader, writer) = dialed.map_err(|error| (error.to_string(), error.retry_after()))?;
            Ok((reader, writer, Lease { _line: line, _permit: permit }))
        };
        let dial = actix::fut::wrap_future::<_, Hub>(dial);
        self.link = UpstreamLink::Dialing(context.spawn(dial.map(|dialed, hub, context| hub.dialed(dialed, context))));
    }

    /// Queues a frame. If the queue is full, the upstream does not read, and the connection is
    /// closed.
    pub(super) fn send(&mut self, frame: Outgoing, now: Now, context: &mut Context<Hub>) {
        let UpstreamLink::Open { outgoing, .. } = &self.link else { return };
        if outgoing.try_send(frame).is_err() {
            self.disconnect(1008, context);
            self.uplink.lost(None, "it does not read what it is sent", now);
        }
    }

    /// Passes the uplink what came. Returns true if the connection is over.
    fn on_upstream(&mut self, received: Received, now: Now) -> bool {
        let uplink = &mut self.uplink;
        match received {
            Ok(Incoming::Text(text)) => uplink.on_message(&text, now),
            // Some upstreams send JSON in binary frames.
            Ok(Incoming::Binary(bytes)) => {
                if let Ok(text) = std::str::from_utf8(&bytes) {
                    uplink.on_message(text, now);
                }
            }
            Ok(Incoming::Pong) => uplink.ponged(),
            Ok(Incoming::Close(close)) => {
                let (code, reason) = close.map_or((None, String::new()), |(code, reason)| (Some(code), reason));
                uplink.lost(code, &reason, now);
                return true;
            }
            Err(error) => {
                uplink.lost(None, &error.to_string(), now);
                return true;
            }
        }
        false
    }

    /// Ends the connection: nothing more of it reaches the uplink. An open one is closed with a
    /// close frame, in a task of its own.
    pub(super) fn disconnect(&mut self, code: u16, context: &mut Context<Hub>) {
        match std::mem::replace(&mut self.link, UpstreamLink::None) {
            UpstreamLink::None => {}
            UpstreamLink::Dialing(dialing) => drop(context.cancel_future(dialing)),
            UpstreamLink::Open { outgoing, reading } => {
                // If the queue is full, the upstream does not read, and would not get the close
                // frame either.
                let _ = outgoing.try_send(Outgoing::Close(code, String::new()));
                context.cancel_future(reading);
            }
        }
    }

    /// Resolves when the socket of the connection that was ended is closed, after a second at most.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + use<> {
        let line = self.line.clone();
        async move { drop(line.lock().await) }
    }

    /// Updates the metrics.
    pub(super) fn measure(&mut self, metrics: &HubMetrics, now: Now) {
        let FeedStatus { state, attempt, fatal, .. } = self.uplink.status();
        metrics.set_state(state, attempt, fatal);
        metrics.set_mute(self.uplink.mute());
        metrics.upstream_connections.set(i64::from(matches!(self.link, UpstreamLink::Open { .. })));
        metrics.upstream_topics.set(self.uplink.upstream_topics() as i64);
        let (before, counts) = (self.counted, self.uplink.counts());
        metrics.unusable.inc_by(counts.unreadable + counts.unknown - before.unreadable - before.unknown);
        metrics.rejected.inc_by(counts.rejected - before.rejected);
        metrics.gaps.inc_by(counts.gaps - before.gaps);
        if let Some(received) = self.uplink.last_message() {
            let age = now.instant.saturating_duration_since(received);
            metrics.count_messages(counts.values - before.values, now.unix_ms.saturating_sub(age.as_millis() as u64));
        }
        self.counted = counts;
    }
}

impl Hub {
    fn dialed(&mut self, dialed: Dialed, context: &mut Context<Self>) {
        let now = Now::read();
        let HubSource::Upstream(upstream) = &mut self.source else { return };
        match dialed {
            Ok((reader, writer, lease)) => {
                let (outgoing, to_write) = mpsc::channel(MAX_OUTGOING);
                let (forward, incoming) = mpsc::channel(MAX_INCOMING);
                actix_rt::spawn(carry(reader, writer, to_write, forward, lease));
                let reading = listen(incoming, context);
                upstream.link = UpstreamLink::Open { outgoing, reading };
                upstream.uplink.opened(now);
            }
            Err((why, retry_after)) => {
                upstream.link = UpstreamLink::None;
                upstream.uplink.failed(&why, retry_after, now);
            }
        }
        self.settle(now, context);
    }

    /// Handles what came since the last call; an empty list means that the connection is over.
    fn on_incoming(
        &mut self,
        incoming: mpsc::Receiver<Received>,
        received: Vec<Received>,
        context: &mut Context<Self>,
    ) {
        let now = Now::read();
        let mut is_over = received.is_empty();
        for received in received {
            self.make_room(now, context);
            let HubSource::Upstream(upstream) = &mut self.source else { return };
            // The connection was given up while this list was handled: the rest does not count.
            if !matches!(upstream.link, UpstreamLink::Open { .. }) {
                return self.settle(now, context);
            }
            is_over = upstream.on_upstream(received, now);
            if is_over {
                break;
            }
            self.carry_out(now, context);
        }
        let HubSource::Upstream(upstream) = &mut self.source else { return };
        let uplink = &mut upstream.uplink;
        if is_over {
            // The uplink ignores this if it has ended the connection already.
            uplink.lost(None, "it ended without a close frame", now);
            upstream.link = UpstreamLink::None;
        } else if let UpstreamLink::Open { reading, .. } = &mut upstream.link {
            *reading = listen(incoming, context);
        }
        self.settle(now, context);
    }
}

/// Waits for the next frames; all that are there by then are handled together.
fn listen(mut incoming: mpsc::Receiver<Received>, context: &mut Context<Hub>) -> SpawnHandle {
    let next = async move {
        let mut received = Vec::new();
        incoming.recv_many(&mut received, MAX_INCOMING).await;
        (incoming, received)
    };
    let next = actix::fut::wrap_future::<_, Hub>(next);
    context.spawn(next.map(|(incoming, received), hub, context| hub.on_incoming(incoming, received, context)))
}

/// Runs one connection until its socket is closed. The hub ends it by dropping its ends of the two
/// channels.
async fn carry(
    mut reader: LinkReader,
    mut writer: LinkWriter,
    mut to_write: mpsc::Receiver<Outgoing>,
    forward: mpsc::Sender<Received>,
    lease: Lease,
) {
    let writing = actix_rt::spawn(async move {
        while let Some(frame) = to_write.recv().await {
            // The reader notices the loss, too.
            if writer.send(frame).await.is_err() {
                break;
            }
        }
    });
    loop {
        let received = tokio::select! {
            received = reader.next() => received,
            () = forward.closed() => break,
        };
        let Some(received) = received else { break };
        if forward.send(received).await.is_err() {
            break;
        }
    }
    drop(forward);
    // Sends the close frame, and reads what the upstream still sends until it closes too: a socket
    // that is closed with unread data is reset, which can lose what was written last.
    let abort = writing.abort_handle();
    let closing = async {
        let _ = writing.await;
        while let Some(Ok(_)) = reader.next().await {}
    };
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
    abort.abort();
    drop((reader, lease));
}

/// Makes a text frame for the upstream.
pub(super) fn text(secret: &crate::config::Secret) -> Outgoing {
    Outgoing::Text(ByteString::from(secret.expose()))
}
