//! Owns the `Connection` actor: one socket, from its arrival on the shard to its end with one
//! cause.

use std::{
    net::{IpAddr, TcpStream},
    rc::Rc,
    sync::Arc,
    time::Instant,
};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, SpawnHandle, StreamHandler,
    WrapFuture as _,
};
use send_wrapper::SendWrapper;
use tokio::time::timeout_at;

mod relay;
mod seat;

use super::{
    machine::{Credentials, Machine, Step},
    pass::{Target, Terms},
};
use crate::{
    clock::{self, Now},
    gate::{Guest, address::limit_key},
    hub::Subscriber,
    observe::log::{SecurityFields, security},
    protocol::{Cause, Refusal},
    proxy::ProxyHandle,
    registry::{Local, Permit},
    room::{
        Busy, Membership, RoomHandle,
        messages::{Act, Action},
    },
    ws::{Arrived, Outbox, ReadError, Socket, SocketLimits, Traffic},
};

/// What the server has learnt about a connection when its socket arrives on the shard.
pub struct AdmittedSocket {
    pub target: Target,
    pub address: IpAddr,
    pub credentials: Credentials,
    pub permit: Permit,
    pub terms: Arc<Terms>,
}

/// One socket. It ends when its outbox has a cause. Dropping it notifies the room or the proxy.
pub struct Connection {
    number: u64,
    opened: Instant,
    machine: Machine,
    outbox: Rc<Outbox>,
    traffic: Rc<Traffic>,
    local: Rc<Local>,
    /// Set once the connection has joined a room or entered a hub or a proxy.
    place: Option<Joined>,
    /// Set after the `welcome`. Selects the log event and the metric when the connection closes.
    established: bool,
    timer: Option<(Instant, SpawnHandle)>,
    _permit: Permit,
}

/// The service that a connection has joined, with its membership there.
enum Joined {
    Room(RoomHandle, Membership),
    /// Leaves the hub when dropped.
    Hub(Box<Subscriber>),
    Proxy(Box<ProxyHandle>),
}

impl Connection {
    /// Takes over an upgraded socket, on the shard's thread. `early` are the bytes that followed
    /// the handshake.
    pub fn open(stream: TcpStream, early: &[u8], admission: AdmittedSocket, local: &Rc<Local>) {
        let AdmittedSocket { target, address, credentials, mut permit, terms } = admission;
        let limits = SocketLimits {
            max_message_bytes: relay::max_message_bytes(&target, &credentials, &terms, local),
            outbox_bytes: terms.connection.outbox_bytes,
            errors: relay::errors(&target, local),
        };
        // A socket that the event loop cannot register is gone already. This return releases the
        // permit.
        let Ok(Socket { reader, outbox, traffic }) = Socket::open(stream, early, local.flusher.clone(), limits) else {
            return;
        };
        let number = local.next_connection();
        local.attach(number, &outbox);
        let now = Now::read();
        let (machine, first) =
            Machine::begin(terms, target, address, credentials, limits.errors, permit.take_over_limit(), now);
        let local = local.clone();
        Self::create(move |context| {
            Self::add_stream(reader, context);
            let mut connection = Self {
                number,
                opened: now.instant,
                machine,
                outbox,
                traffic,
                local,
                place: None,
                established: false,
                timer: None,
                _permit: permit,
            };
            connection.carry_out(first, context);
            connection.arm(now, context);
            connection
        });
    }

    fn carry_out(&mut self, step: Step, context: &mut Context<Self>) {
        match step {
            Step::Nothing => {}
            Step::Reply(frame) => self.outbox.push(frame, Instant::now()),
            Step::Measured(latency) => self.outbox.note_latency(latency),
            Step::Join { role, session, seen, authenticated } => {
                self.join(role, session, seen, authenticated, context);
            }
            Step::Act(action) => {
                self.local.flusher.stats().event_in();
                self.act(action, context);
            }
            Step::Leave => {
                if let Some(Joined::Room(room, entry)) = self.place.take() {
                    room.leave(self.number, entry);
                }
            }
            Step::Enter(guest) => self.enter(guest.as_deref()),
            Step::Subscribe(topics) => {
                if let Some(Joined::Hub(hub)) = &self.place
                    && let Some(answer) = hub.subscribe(topics)
                {
                    context.wait(answer.into_actor(self));
                }
            }
            Step::Unsubscribe(topics) => {
                if let Some(Joined::Hub(hub)) = &self.place {
                    hub.unsubscribe(&topics);
                }
            }
            Step::Publish { id, topic, data } => {
                if let Some(Joined::Hub(hub)) = &self.place {
                    context.wait(hub.publish(id, topic, data).into_actor(self));
                }
            }
            Step::Open { guest, session, seen } => self.open_relay(&guest, session.as_deref(), seen),
            Step::Relay(message) => self.relay(message, context),
            Step::AwaitKeys { round, until } => self.await_keys(round, until, context),
            step @ Step::Close { .. } => self.end(step),
        }
    }

    fn end(&self, step: Step) {
        if let Step::Close { cause, last } = step {
            self.outbox.close(cause, last);
        }
    }

    /// Reads and does nothing else until the verdict, so that the client's frames keep their order.
    fn await_keys(&mut self, round: u64, until: Instant, context: &mut Context<Self>) {
        let Some(tokens) = self.machine.tokens().cloned() else { return };
        let waiting = async move {
            let _ = timeout_at(until.into(), tokens.keys().after(round)).await;
        };
        context.wait(waiting.into_actor(self).map(|(), connection, context| {
            let now = Now::read();
            let step = connection.machine.judge(now);
            connection.carry_out(step, context);
            if connection.machine.renewed() {
                connection.arm(now, context);
            }
        }));
    }

    /// Enters the hub at once, as its local part is on this thread.
    fn enter(&mut self, guest: Option<&Guest>) {
        let (Target::Hub(hub) | Target::Desk(hub)) = self.machine.target() else { return };
        let branch = match self.local.hub(hub) {
            Ok(branch) => branch,
            Err(why) => {
                self.outbox.refuse(Cause::NoSuchHub, why);
                return;
            }
        };
        let role = guest.map_or("", |guest| guest.role.as_str());
        let Some(subscriber) = branch.enter(self.number, &self.outbox, role, limit_key(*self.machine.address())) else {
            return;
        };
        self.place = Some(Joined::Hub(Box::new(subscriber)));
        self.established = true;
        let fields = SecurityFields {
            player: guest.and_then(|guest| guest.name.as_deref()),
            role: guest.map(|guest| guest.role.as_str()),
            ..self.log_fields()
        };
        security(&self.local.logger, "WS_CONNECTION_ESTABLISHED", &fields);
    }

    fn act(&mut self, action: Action, context: &mut Context<Self>) {
        let (Some(Joined::Room(room, _)), Target::Seat { player, .. }) = (&self.place, self.machine.target()) else {
            return;
        };
        match room.act(Act { connection: self.number, player: player.clone(), action }) {
            Ok(()) => {}
            Err(Busy::Full(act)) => {
                let room = room.clone();
                context.wait(async move { room.act_when_free(act).await }.into_actor(self));
            }
            // The room closes its members itself, so only a frame to a room that has already ended
            // gets here.
            Err(Busy::Closed) => {
                self.outbox.close(Cause::RoomFailed, None);
            }
        }
    }

    /// Keeps one timer for every deadline.
    fn arm(&mut self, now: Now, context: &mut Context<Self>) {
        let due = self.machine.next_deadline(now);
        if let Some((armed, handle)) = self.timer {
            if armed <= due {
                return;
            }
            context.cancel_future(handle);
        }
        self.arm_at(due, now, context);
    }

    fn arm_at(&mut self, due: Instant, now: Now, context: &mut Context<Self>) {
        let wait = due.saturating_duration_since(now.instant);
        let handle = context.run_later(wait, move |connection, context| {
            connection.timer = None;
            connection.on_timer(due, context);
        });
        self.timer = Some((due, handle));
    }

    fn on_timer(&mut self, due: Instant, context: &mut Context<Self>) {
        let now = Now::read();
        if let Some(later) = clock::postponed(due, now.instant) {
            self.arm_at(later, now, context);
            return;
        }
        self.exempt(now);
        loop {
            match self.machine.tick(now) {
                Step::Nothing => break,
                step @ Step::Close { .. } => {
                    self.carry_out(step, context);
                    return;
                }
                step => self.carry_out(step, context),
            }
        }
        self.arm(now, context);
    }

    fn log_fields(&self) -> SecurityFields<'_> {
        let fields = SecurityFields { address: Some(self.machine.address()), ..SecurityFields::default() };
        match self.machine.target() {
            Target::Seat { game, player } => {
                SecurityFields { game: Some(game.as_str()), player: Some(player.as_str()), ..fields }
            }
            Target::Desk(hub) | Target::Hub(hub) => SecurityFields { hub: Some(hub.as_str()), ..fields },
            Target::Proxy { proxy, .. } => SecurityFields { proxy: Some(proxy.as_str()), ..fields },
        }
    }

    fn log_end(&self, cause: Cause) {
        let fields = SecurityFields {
            cause: Some(cause),
            duration_ms: Some(self.opened.elapsed().as_millis() as u64),
            bytes_in: Some(self.traffic.bytes_in.get()),
            bytes_out: Some(self.traffic.bytes_out.get()),
            ..self.log_fields()
        };
        let event = match cause {
            _ if self.established => "WS_CONNECTION_CLOSED",
            Cause::AuthTimeout => "WS_CONNECTION_BLOCKED_AUTH_TIMEOUT",
            Cause::AuthFailed => "WS_CONNECTION_BLOCKED_AUTH_FAILED",
            Cause::ConnectionLimit => "WS_CONNECTION_BLOCKED_CONNECTION_LIMIT",
            _ => "WS_CONNECTION_CLOSED",
        };
        security(&self.local.logger, event, &fields);
    }
}

impl Actor for Connection {
    type Context = Context<Self>;
}

/// Runs at the end of the connection, in good order or by a panic.
impl Drop for Connection {
    fn drop(&mut self) {
        // After a panic in this actor there is no cause yet.
        self.outbox.close(Cause::RoomFailed, None);
        let cause = self.outbox.cause().unwrap_or(Cause::ConnectionLost);
        match self.place.take() {
            Some(Joined::Room(room, entry)) => room.detach(self.number, entry),
            Some(Joined::Proxy(relay)) => relay.leave(self.number, cause),
            Some(Joined::Hub(_)) | None => {}
        }
        self.local.detach(self.number);
        let metrics = &self.local.metrics;
        metrics.disconnected(cause);
        if !self.established && matches!(cause, Cause::AuthTimeout | Cause::AuthFailed | Cause::ConnectionLimit) {
            metrics.refused(cause.name());
        }
        self.log_end(cause);
    }
}

impl StreamHandler<Result<Arrived, ReadError>> for Connection {
    fn handle(&mut self, item: Result<Arrived, ReadError>, context: &mut Self::Context) {
        match item {
            Ok(arrived) => {
                let now = Now::read();
                self.exempt(now);
                let was_asked_for = self.acknowledge(&arrived.message);
                match self.machine.on_message(arrived, was_asked_for, now) {
                    Step::Reply(frame) if matches!(self.place, Some(Joined::Room(..))) => {
                        self.act(Action::Answer(SendWrapper::new(frame)), context)
                    }
                    step => self.carry_out(step, context),
                }
                if let Some(pause) = self.machine.pause() {
                    self.slow_down(pause, context);
                }
                if self.machine.renewed() {
                    self.arm(now, context);
                }
            }
            Err(ReadError::Lost) => {
                self.outbox.close(Cause::ConnectionLost, None);
            }
            Err(ReadError::Decode(error)) => {
                self.outbox.refuse(error.cause(), &self.words_of(error));
            }
        }
    }

    fn finished(&mut self, context: &mut Self::Context) {
        context.stop();
    }
}

/// Closes a socket that was accepted only to send it the refusal (A5, A8), on the shard's thread.
pub fn turn_away(stream: TcpStream, refusal: &Refusal, cause: Cause, target: &Target, local: &Rc<Local>) {
    let limits = SocketLimits { max_message_bytes: 0, outbox_bytes: 0, errors: relay::errors(target, local) };
    if let Ok(Socket { outbox, .. }) = Socket::open(stream, &[], local.flusher.clone(), limits) {
        outbox.refuse_with(cause, refusal.code(), &refusal.message());
        local.metrics.disconnected(cause);
    }
}
