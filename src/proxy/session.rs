//! Owns what a client's connection and the session actor share: the queue toward the upstream, the
//! frames that the client may have missed, the used budget, and the client's current connection.

use std::{
    cell::RefCell,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Instant,
};

use actix_web_actors::ws::Message;

use super::{
    budget::{Exceeded, Spending},
    client::{ASK_BYTES, ProxyClient},
    filter,
    history::{MissedFrames, SessionHistory},
    queue::ClientQueue,
};
use crate::{
    config::ProxyConfig,
    observe::metrics::ProxyMetrics,
    protocol::{Cause, FrameError},
    ws::{Frame, Incoming, Outbox, Outgoing, Pause, Policy, frame},
};

/// What happened to a client's message.
#[derive(Debug)]
pub(crate) enum Intake {
    /// It is queued, or dropped because the session is over.
    Yes,
    /// It is not passed on; the connection stays open.
    Refused(FrameError),
    /// The session is over.
    Exceeded(Exceeded),
}

/// How the client is closed when the upstream is gone.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub cause: Cause,
    /// The reason in the close frame.
    pub reason: String,
    /// A frame before the close frame.
    pub last: Option<Frame>,
}

/// What a client gets when it enters.
pub(super) struct Reception {
    pub missed: MissedFrames,
    /// The client claims to have seen frames that were never sent.
    pub is_ahead: bool,
    pub newest: u64,
    pub last_id: u64,
}

pub(super) struct ProxySession {
    config: Arc<ProxyConfig>,
    metrics: Arc<ProxyMetrics>,
    state: RefCell<SessionState>,
}

struct SessionState {
    /// Toward the upstream.
    queue: ClientQueue,
    /// The upstream's frames are not needed any more.
    is_over: bool,
    /// Wakes the pump that empties the queue.
    pump: Option<Waker>,
    client: Option<ProxyClient>,
    /// Counts the client's connections.
    visits: u64,
    /// The client's last connection, while the client is away.
    previous: Option<ProxyClient>,
    history: SessionHistory,
    /// The bytes of the history that the metric includes.
    counted: usize,
    /// The number of the client's data frames, including those that were refused.
    last_id: u64,
    spending: Spending,
    ending: Option<Ending>,
    /// Wakes what waits for the client: to read from the upstream, or to close the client.
    waiting: Option<Waker>,
}

impl SessionState {
    /// Updates the metric of kept bytes, if it is wrong by more than `slack`.
    fn count(&mut self, metrics: &ProxyMetrics, slack: usize) {
        let bytes = self.history.bytes();
        if bytes.abs_diff(self.counted) > slack {
            metrics.history_bytes.add(bytes as i64 - self.counted as i64);
            self.counted = bytes;
        }
    }
}

impl ProxySession {
    /// `queue_bytes` bounds what waits for the upstream (X2).
    pub(super) fn new(config: Arc<ProxyConfig>, metrics: Arc<ProxyMetrics>, queue_bytes: usize) -> Rc<Self> {
        // Without resume no client comes back, so no history is needed.
        let history = SessionHistory::new(if config.resume.is_zero() { 0 } else { config.resume_bytes });
        let state = SessionState {
            queue: ClientQueue::new(queue_bytes),
            is_over: false,
            pump: None,
            client: None,
            visits: 0,
            previous: None,
            history,
            counted: 0,
            last_id: 0,
            spending: Spending::default(),
            ending: None,
            waiting: None,
        };
        Rc::new(Self { config, metrics, state: RefCell::new(state) })
    }

    /// A client enters, or comes back having seen frames up to number `seen`; without `seen`, what
    /// the last socket took counts as seen. Closes the client's former connection. `welcome` makes
    /// the first frame, if any; all missed frames follow it.
    pub(super) fn attach(
        &self,
        (connection, address): (u64, IpAddr),
        outbox: &Rc<Outbox>,
        seen: Option<u64>,
        welcome: impl FnOnce(&Reception) -> Option<Frame>,
    ) {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        let mut written = 0;
        if let Some(old) = state.client.take().or(state.previous.take()) {
            // Frames that the old socket has not taken go to the new one instead, never to both.
            written = old.base + old.outbox.release_paced();
            old.outbox.close(Cause::Replaced, None);
        }
        let newest = state.history.newest();
        let claimed = seen.unwrap_or(written);
        let missed = state.history.missed_since(claimed.min(newest));
        let (next, last_id) = (missed.next, state.last_id);
        let reception = Reception { missed, is_ahead: claimed > newest, newest, last_id };
        if let Some(frame) = welcome(&reception) {
            outbox.queue(frame, Policy::CatchUp, now);
        }
        let mut client = ProxyClient::new(connection, address, outbox.clone(), next);
        for frame in state.history.from(next) {
            client.give(frame.clone(), now);
        }
        client.ask_when_due(newest, now);
        state.history.give_again(next - 1);
        state.count(&self.metrics, 0);
        outbox.pause_reading(Pause::Queue, state.queue.is_full());
        state.client = Some(client);
        state.visits += 1;
        let waiting = state.waiting.take();
        drop(state);
        waiting.inspect(Waker::wake_by_ref);
    }

    /// A connection is over. Ignored if it was replaced.
    pub(super) fn detach(&self, connection: u64) {
        let mut state = self.state.borrow_mut();
        if let Some(client) = state.client.take_if(|client| client.connection == connection) {
            state.previous = Some(client);
            let waiting = state.waiting.take();
            drop(state);
            waiting.inspect(Waker::wake_by_ref);
        }
    }

    /// Returns true if a client that loses its connection may come back.
    pub(super) fn is_resumable(&self) -> bool {
        !self.config.resume.is_zero()
    }

    /// Returns true if this is the client's current connection.
    pub(super) fn is_client(&self, connection: u64) -> bool {
        self.state.borrow().client.as_ref().is_some_and(|client| client.connection == connection)
    }

    /// The address of the client's connection, while there is one.
    pub(super) fn client_address(&self) -> Option<IpAddr> {
        self.state.borrow().client.as_ref().map(|client| client.address)
    }

    /// The number of the client's newest connection, and true while it is open.
    pub(super) fn visit(&self) -> (u64, bool) {
        let state = self.state.borrow();
        (state.visits, state.client.is_some())
    }

    /// Closes the client's connection, if there is one.
    pub(super) fn close_client(&self, cause: Cause, last: Option<Frame>) {
        let outbox = self.state.borrow().client.as_ref().map(|client| client.outbox.clone());
        outbox.inspect(|outbox| {
            outbox.close(cause, last);
        });
    }

    /// Takes a pong of the client. Returns true if it answers a ping of this session: everything
    /// before the ping has arrived. Each ping is answered once.
    pub(super) fn acknowledge(&self, connection: u64, payload: &[u8]) -> bool {
        let mut state = self.state.borrow_mut();
        let SessionState { client, history, .. } = &mut *state;
        let Some(client) = client.as_ref().filter(|client| client.connection == connection) else { return false };
        let Some(number) = client.answered(payload, history.received()) else { return false };
        let written = client.written();
        history.receive(number.min(written));
        history.trim(written);
        state.count(&self.metrics, 0);
        true
    }

    /// Takes a text or binary message of the client.
    pub(super) fn take(&self, connection: u64, message: Message) -> Intake {
        let mut state = self.state.borrow_mut();
        let Some(client) = state.client.as_ref().filter(|client| client.connection == connection) else {
            return Intake::Yes;
        };
        let outbox = client.outbox.clone();
        let (judged, length, message) = match message {
            Message::Text(text) => (filter::text(&text, &self.config), text.len(), Outgoing::Text(text)),
            Message::Binary(bytes) => (filter::binary(&self.config), bytes.len(), Outgoing::Binary(bytes)),
            _ => return Intake::Yes,
        };
        state.last_id += 1;
        if let Err(error) = judged {
            return Intake::Refused(error);
        }
        if let Err(exceeded) = state.spending.spend(length, &self.config.budget) {
            self.metrics.budget_closes.inc();
            return Intake::Exceeded(exceeded);
        }
        self.metrics.bytes_in.inc_by(length as u64);
        state.queue.push(message);
        let is_full = state.queue.is_full();
        let pump = state.pump.take();
        drop(state);
        if is_full {
            outbox.pause_reading(Pause::Queue, true);
        }
        pump.inspect(Waker::wake_by_ref);
        Intake::Yes
    }

    /// Returns true if a message of the client waits for the upstream.
    pub(super) fn has_messages(&self) -> bool {
        self.state.borrow().queue.has_messages()
    }

    /// Closes the upstream, behind everything that waits for it. The first call counts; the
    /// upstream's frames are not needed from now on.
    pub(super) fn close_upstream(&self, code: u16, reason: &str) {
        let mut state = self.state.borrow_mut();
        state.is_over = true;
        state.queue.close(code, reason);
        let wakers = [state.pump.take(), state.waiting.take()];
        let outbox = state.client.as_ref().map(|client| client.outbox.clone());
        drop(state);
        outbox.inspect(|outbox| outbox.pause_reading(Pause::Queue, false));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// The upstream takes nothing more: drops what waits for it, and what comes later.
    pub(super) fn forget_queue(&self) {
        let mut state = self.state.borrow_mut();
        state.queue.forget();
        let outbox = state.client.as_ref().map(|client| client.outbox.clone());
        drop(state);
        outbox.inspect(|outbox| outbox.pause_reading(Pause::Queue, false));
    }

    /// Returns the next message for the upstream; pending while there is none.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Outgoing> {
        match self.next() {
            Some(message) => Poll::Ready(message),
            None => {
                self.state.borrow_mut().pump = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Returns the next message for the upstream, if one waits.
    pub(super) fn next(&self) -> Option<Outgoing> {
        let mut state = self.state.borrow_mut();
        let (message, made_room) = state.queue.pop()?;
        if made_room {
            let outbox = state.client.as_ref().map(|client| client.outbox.clone());
            drop(state);
            outbox.inspect(|outbox| outbox.pause_reading(Pause::Queue, false));
        }
        Some(message)
    }

    /// Ready while there is room for what the upstream sends: in the client's outbox, or, while it
    /// is away, in the history.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.is_over {
            return Poll::Ready(());
        }
        // A closed connection detaches later; until then frames go into the history only.
        let is_open = match &state.client {
            Some(client) if client.outbox.cause().is_none() => client.poll_room(context).is_ready(),
            _ => state.history.has_room(),
        };
        if is_open {
            return Poll::Ready(());
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// Passes a text or binary message of the upstream on to the client.
    ///
    /// # Errors
    /// The budget that the message exceeds; the session is over then.
    pub(super) fn receive(&self, message: &Incoming) -> Result<(), Exceeded> {
        let (frame, length) = match message {
            Incoming::Text(text) => (frame::text(|out| out.extend_from_slice(text.as_bytes())), text.len()),
            Incoming::Binary(bytes) => (frame::binary(bytes), bytes.len()),
            Incoming::Pong | Incoming::Close(_) => return Ok(()),
        };
        let mut state = self.state.borrow_mut();
        state.spending.spend(length, &self.config.budget)?;
        self.metrics.bytes_out.inc_by(length as u64);
        let SessionState { client, history, .. } = &mut *state;
        history.push(frame.clone());
        if let Some(client) = client {
            let now = Instant::now();
            client.give(frame, now);
            if history.keeps() {
                client.ask_when_due(history.newest(), now);
            }
            history.trim(client.written());
        }
        state.count(&self.metrics, ASK_BYTES);
        Ok(())
    }

    /// The upstream is gone.
    pub(super) fn end(&self, ending: Ending) {
        self.state.borrow_mut().ending = Some(ending);
    }

    /// Ready once the client was given everything and was closed with the [`Ending`]. Waits for a
    /// client that is away.
    pub(super) fn poll_end(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if let (Some(client), Some(ending)) = (&state.client, &state.ending)
            && client.outbox.cause().is_none()
        {
            ready!(client.poll_drained(context));
            let Ending { cause, reason, last } = ending.clone();
            // The connection may have ended while its outbox drained.
            if client.outbox.close_with(cause, &reason, last) {
                return Poll::Ready(());
            }
        }
        state.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// Bytes and messages so far, both directions together.
    pub(super) fn spent(&self) -> (u64, u64) {
        let state = self.state.borrow();
        (state.spending.bytes, state.spending.messages)
    }
}

impl Drop for ProxySession {
    fn drop(&mut self) {
        self.metrics.history_bytes.sub(self.state.get_mut().counted as i64);
    }
}
