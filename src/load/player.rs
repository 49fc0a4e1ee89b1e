//! Owns one player of a load: what it does with the frames of its connection, and what it sends.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    check::MemberCheck,
    message::{self, LoadMessage},
    notice::Notice,
    plan::Habits,
    schedule::Schedule,
    tally::{Tally, record},
    worker::{LoadRoom, LoadWorker},
};
use crate::ws::client::{ClientFrame, ClientSocket};

/// Past this, a sender whose server does not read waits.
const MAX_WAITING_BYTES: usize = 256 * 1024;
/// How long it waits.
const WAIT: u64 = 10_000_000;

pub(super) struct LoadPlayer {
    pub room: Rc<LoadRoom>,
    /// The place in the room, and among the players of the worker.
    pub index: usize,
    pub place: usize,
    pub habits: Habits,
    pub state: RefCell<PlayerState>,
}

pub(super) struct PlayerState {
    pub socket: Option<ClientSocket>,
    /// Wakes the task that reads the socket.
    pub waker: Option<Waker>,
    pub view: PlayerView,
    /// The pacer knows when this player sends next.
    pub is_queued: bool,
}

/// What a player knows, apart from its socket.
pub(super) struct PlayerView {
    pub check: MemberCheck,
    pub schedule: Option<Schedule>,
    pub session: Option<String>,
    pub has_joined: bool,
    /// The present connection has been welcomed.
    pub is_welcome: bool,
    /// When the present attempt began, and when the connection before it was lost.
    pub attempt_at: u64,
    pub lost_at: Option<u64>,
    /// An attempt timed out since the last welcome, and may still reach the server (C1).
    pub has_abandoned: bool,
    /// The player cut the connection before this one itself.
    pub has_cut: bool,
    /// What was missed during a cut of one's own is not timed: events up to this `seq`.
    replayed: u64,
    pub reconnect_after: Option<Duration>,
    pub close: Option<(u16, String)>,
    /// The last `error` frame of this connection: its code and message.
    pub error: Option<(String, String)>,
}

/// How a connection ended.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    Closed(u16, String),
    /// Without a close frame.
    Lost(String),
    /// By this player, to come back.
    Cut,
    /// The run is over.
    Over,
}

impl LoadPlayer {
    /// Reads and writes what can be; `max` bounds each read. Ready once the connection has ended.
    pub(super) fn poll(&self, context: &mut Context<'_>, worker: &LoadWorker, max: usize) -> Poll<ConnectionEnd> {
        let mut state = self.state.borrow_mut();
        let PlayerState { socket, waker, view, .. } = &mut *state;
        let Some(socket) = socket else { return Poll::Ready(ConnectionEnd::Lost("no connection".to_owned())) };
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        let had_joined = (view.has_joined, view.is_welcome);
        let mut tally = worker.tally.borrow_mut();
        let mut reading = Ok(());
        let mut left = max;
        while reading.is_ok() && view.close.is_none() && left > 0 {
            let mut now = None;
            let each = |frame: ClientFrame<'_>| {
                let now = *now.get_or_insert_with(|| worker.clock.now());
                match frame {
                    ClientFrame::Text(text) => self.text(view, text, now, worker, &mut tally),
                    ClientFrame::Close(code, reason) => view.close = Some((code, reason.to_owned())),
                }
            };
            match socket.poll_read(context, left, each) {
                Poll::Ready(Ok(read)) => left = if max == usize::MAX { max } else { left.saturating_sub(read) },
                Poll::Ready(Err(error)) => reading = Err(error),
                Poll::Pending => break,
            }
        }
        drop(tally);
        let writing = match (&reading, socket.poll_flush(context)) {
            (Ok(()), Poll::Ready(Err(error))) => Err(error),
            _ => Ok(()),
        };
        let close = view.close.take();
        let (has_joined, is_welcome) = (view.has_joined, view.is_welcome);
        drop(state);
        if is_welcome && !had_joined.1 {
            worker.welcomed(self, has_joined && !had_joined.0);
        }
        match (close, reading.and(writing)) {
            (Some((code, reason)), _) => Poll::Ready(ConnectionEnd::Closed(code, reason)),
            (None, Err(error)) => Poll::Ready(ConnectionEnd::Lost(error.to_string())),
            (None, Ok(())) => Poll::Pending,
        }
    }

    /// Takes what came together with the handshake.
    pub(super) fn take_first(&self, worker: &LoadWorker) {
        let mut state = self.state.borrow_mut();
        let PlayerState { socket, view, .. } = &mut *state;
        let had_joined = view.has_joined;
        if let Some(socket) = socket {
            let now = worker.clock.now();
            let mut tally = worker.tally.borrow_mut();
            let taken = socket.take_first(|frame| match frame {
                ClientFrame::Text(text) => self.text(view, text, now, worker, &mut tally),
                ClientFrame::Close(code, reason) => view.close = Some((code, reason.to_owned())),
            });
            if let Err(error) = taken {
                view.close = Some((1002, error.to_string()));
            }
        }
        let (has_joined, is_welcome) = (view.has_joined, view.is_welcome);
        drop(state);
        if is_welcome {
            worker.welcomed(self, has_joined && !had_joined);
        }
    }

    fn text(&self, view: &mut PlayerView, text: &[u8], now: u64, worker: &LoadWorker, tally: &mut Tally) {
        let bytes = worker.plan.options.bytes;
        if let Some(arrival) = message::read(text, bytes) {
            return self.message(view, &arrival, now, worker, tally);
        }
        match Notice::read(text) {
            Notice::Message(seq) => match message::read_any(text, bytes) {
                Some(arrival) => self.message(view, &arrival, now, worker, tally),
                None => {
                    tally.damaged(|| format!("{}: a message whose content was changed", self.name(worker)));
                    if let Some(seq) = seq {
                        view.check.event(seq, |_| {});
                    }
                }
            },
            Notice::Event(seq) => {
                view.check.event(seq, |fault| tally.fault(fault, || format!("{}: an event", self.name(worker))));
            }
            Notice::Welcome { seq, session, outcome, last_id } => {
                let is_resume = view.session.is_some();
                if is_resume {
                    tally.resumed(outcome);
                } else {
                    record(&mut tally.joins, now.saturating_sub(view.attempt_at));
                }
                let place = || format!("{}: its welcome", self.name(worker));
                view.check.welcome(outcome, seq, is_resume, |fault| tally.fault(fault, place));
                if let Some(lost_at) = view.lost_at.take() {
                    record(&mut tally.outages, now.saturating_sub(lost_at));
                }
                view.replayed = if view.has_cut { seq } else { 0 };
                let cut = std::mem::take(&mut view.has_cut).then_some(now);
                if let Some(schedule) = view.schedule.as_mut().filter(|_| is_resume) {
                    schedule.resume(u32::try_from(last_id).unwrap_or(u32::MAX), cut);
                }
                view.session = Some(session);
                view.has_joined = true;
                view.is_welcome = true;
                view.has_abandoned = false;
                tally.counts.connected += 1;
            }
            Notice::Ack(id) => {
                if let Some(schedule) = &mut view.schedule {
                    schedule.acknowledge(u32::try_from(id).unwrap_or(u32::MAX));
                }
            }
            Notice::GoingAway(after) => view.reconnect_after = Some(after),
            Notice::Error { code, message } => {
                *tally.errors.entry(code.clone()).or_default() += 1;
                view.error = Some((code, message));
            }
            Notice::Other => {}
            Notice::Unknown => {
                tally.damaged(|| format!("{}: a frame that is no JSON of the contract", self.name(worker)))
            }
        }
    }

    fn message(&self, view: &mut PlayerView, arrival: &LoadMessage, now: u64, worker: &LoadWorker, tally: &mut Tally) {
        tally.counts.deliveries += 1;
        let stamp = arrival.stamp;
        view.check.message(arrival, |fault| {
            tally.fault(fault, || {
                let (sender, number, seq) =
                    (worker.plan.tokens.player(stamp.sender as usize), stamp.number, arrival.seq);
                format!("{}: message {number} of {sender} (seq {seq})", self.name(worker))
            });
        });
        if stamp.sender as usize == self.index
            && let Some(schedule) = &mut view.schedule
        {
            schedule.acknowledge(stamp.number);
        }
        let is_timed = !self.habits.is_slow && arrival.seq > view.replayed;
        if is_timed && stamp.due >= worker.shared.measured_from() {
            record(&mut tally.latency, now.saturating_sub(stamp.due));
        }
    }

    /// Sends what is due, and returns when it sends next.
    pub(super) fn send_due(&self, worker: &LoadWorker, now: u64, end: u64) -> Option<u64> {
        let mut state = self.state.borrow_mut();
        let PlayerState { socket, waker, view, .. } = &mut *state;
        let socket = socket.as_mut().filter(|_| view.is_welcome)?;
        let schedule = view.schedule.as_mut()?;
        while schedule.wake(end).is_some_and(|wake| wake <= now) {
            if socket.waiting() > MAX_WAITING_BYTES {
                return Some(now + WAIT);
            }
            let stamp = schedule.take(now);
            worker.text.borrow_mut().clear();
            message::write(&mut worker.text.borrow_mut(), stamp, worker.plan.options.bytes);
            socket.put_text(&worker.text.borrow());
            worker.tally.borrow_mut().counts.sent += 1;
        }
        // What does not go at once, and an error, is for the task that reads.
        if !matches!(socket.poll_flush(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(())))
            && let Some(waker) = waker
        {
            waker.wake_by_ref();
        }
        schedule.wake(end)
    }

    pub(super) fn name(&self, worker: &LoadWorker) -> String {
        format!("{} in {}", worker.plan.tokens.player(self.index), worker.plan.game(self.room.number))
    }

    /// Returns true if nothing is owed to this player, nor by it.
    pub(super) fn is_complete(&self, end: u64) -> bool {
        let state = self.state.borrow();
        let own = state
            .view
            .schedule
            .as_ref()
            .is_none_or(|schedule| schedule.wake(end).is_none() && schedule.acknowledged() == schedule.sent());
        own && state.view.is_welcome
    }
}

impl PlayerView {
    pub(super) fn new(senders: usize, schedule: Option<Schedule>) -> Self {
        Self {
            check: MemberCheck::new(senders),
            schedule,
            session: None,
            has_joined: false,
            is_welcome: false,
            attempt_at: 0,
            lost_at: None,
            has_abandoned: false,
            has_cut: false,
            replayed: 0,
            reconnect_after: None,
            close: None,
            error: None,
        }
    }
}
