//! Owns the `Connection` actor: one socket, from its arrival on the shard to its end with one
//! cause.

use std::{
    net::{IpAddr, TcpStream},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, SpawnHandle, StreamHandler,
    WrapFuture as _,
};
use actix_web_actors::ws::Message;
use tokio::time::timeout_at;

mod entering;

use super::{
    Terms,
    machine::{Credentials, Machine, Step},
};
use crate::{
    clock::{self, Now},
    observe::log::{SecurityFields, security},
    protocol::{Cause, Refusal},
    registry::{Local, Permit},
    service::{Flow, Service, Target},
    ws::{Arrived, Errors, Outbox, Pause, Policy, ReadError, Socket, SocketLimits, Traffic},
};

/// What the server has learnt about a connection when its socket arrives on the shard.
pub(crate) struct AdmittedSocket {
    pub address: IpAddr,
    pub credentials: Credentials,
    pub permit: Permit,
    pub terms: Arc<Terms>,
}

/// One socket. It ends when its outbox has a cause. Dropping it closes its service.
pub(crate) struct Connection {
    number: u64,
    opened: Instant,
    machine: Machine,
    outbox: Rc<Outbox>,
    traffic: Rc<Traffic>,
    local: Rc<Local>,
    /// `None` until the client has entered. Selects the log event and the metric at the end.
    service: Option<Box<dyn Service>>,
    timer: Option<(Instant, SpawnHandle)>,
    _permit: Permit,
}

impl Connection {
    /// Takes over an upgraded socket, on the shard's thread. `early` are the bytes that followed
    /// the handshake.
    pub(crate) fn open(
        stream: TcpStream,
        early: &[u8],
        target: Rc<dyn Target>,
        admission: AdmittedSocket,
        local: &Rc<Local>,
    ) {
        let AdmittedSocket { address, credentials, mut permit, terms } = admission;
        let limits = SocketLimits {
            max_message_bytes: terms.first_max_message_bytes(&*target, credentials.token.is_some()),
            outbox_bytes: terms.connection.outbox_bytes,
            errors: target.errors(),
        };
        // A socket that the event loop cannot register is gone already. This return releases the
        // permit.
        let Ok(Socket { reader, outbox, traffic }) = Socket::open(stream, early, local.flusher.clone(), limits) else {
            return;
        };
        let number = local.next_connection();
        local.attach(number, &outbox);
        let now = Now::read();
        let (machine, first) = Machine::begin(terms, target, address, credentials, permit.take_over_limit(), now);
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
                service: None,
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
            Step::Reply(frame) => self.outbox.queue(frame, Policy::Live, Instant::now()),
            Step::Measured(latency) => self.outbox.note_latency(latency),
            Step::Enter { standing, session, seen, authenticated } => {
                self.enter(standing, session, seen, authenticated, context);
            }
            Step::Room(request) => self.serve(context, |service| service.room_request(request)),
            Step::Hub(request) => self.serve(context, |service| service.hub_request(request)),
            Step::Pass(message) => self.serve(context, |service| service.message(message)),
            Step::Rename(name) => self.serve(context, |service| service.rename(name)),
            Step::AwaitKeys { round, until } => self.await_keys(round, until, context),
            step @ Step::Close { .. } => self.end(step),
        }
    }

    /// Lets the service do something, and carries out what follows from it.
    fn serve(&mut self, context: &mut Context<Self>, act: impl FnOnce(&mut dyn Service) -> Flow) {
        let Some(service) = &mut self.service else { return };
        match act(&mut **service) {
            Flow::Continue => {}
            Flow::Wait(done) => context.wait(done.into_actor(self)),
            Flow::BadFrame(error) => {
                let step = self.machine.bad_frame(&error, Now::read());
                self.carry_out(step, context);
            }
            Flow::End(cause, last) => {
                self.outbox.close(cause, last);
            }
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

    /// S5a: reads nothing for the length of `pause`.
    fn slow_down(&self, pause: Duration, context: &mut Context<Self>) {
        self.outbox.pause_reading(Pause::Rate, true);
        context.run_later(pause, |connection, _| connection.outbox.pause_reading(Pause::Rate, false));
    }

    /// A client that was not read for a while is exempt from the heartbeat for that time.
    fn exempt(&mut self, now: Now) {
        if self.machine.is_raw() && self.outbox.take_pause(now.instant).is_some() {
            self.machine.exempt();
        }
    }

    fn log_fields(&self) -> SecurityFields<'_> {
        SecurityFields { address: Some(self.machine.address()), ..self.machine.target().log_fields() }
    }

    fn log_end(&self, cause: Cause, has_entered: bool) {
        let fields = SecurityFields {
            cause: Some(cause),
            duration_ms: Some(self.opened.elapsed().as_millis() as u64),
            bytes_in: Some(self.traffic.bytes_in.get()),
            bytes_out: Some(self.traffic.bytes_out.get()),
            ..self.log_fields()
        };
        let event = match cause {
            _ if has_entered => "WS_CONNECTION_CLOSED",
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
        let service = self.service.take();
        let has_entered = service.is_some();
        if let Some(service) = service {
            service.closed(cause);
        }
        self.local.detach(self.number);
        let metrics = &self.local.metrics;
        metrics.disconnected(cause);
        if !has_entered && matches!(cause, Cause::AuthTimeout | Cause::AuthFailed | Cause::ConnectionLimit) {
            metrics.refused(cause.name());
        }
        self.log_end(cause, has_entered);
    }
}

impl StreamHandler<Result<Arrived, ReadError>> for Connection {
    fn handle(&mut self, item: Result<Arrived, ReadError>, context: &mut Self::Context) {
        match item {
            Ok(arrived) => {
                let now = Now::read();
                self.exempt(now);
                let was_asked_for = match (&arrived.message, &mut self.service) {
                    (Message::Pong(payload), Some(service)) => service.pong(payload),
                    _ => false,
                };
                match self.machine.on_message(arrived, was_asked_for, now) {
                    Step::Reply(frame) if self.service.is_some() => {
                        self.serve(context, |service| service.reply(frame));
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
                let message = match &self.service {
                    Some(service) => service.decode_error(error),
                    None => error.to_string(),
                };
                self.outbox.refuse(error.cause(), &message);
            }
        }
    }

    fn finished(&mut self, context: &mut Self::Context) {
        context.stop();
    }
}

/// Closes a socket that was accepted only to send it the refusal (A5, A8), on the shard's thread.
pub(crate) fn turn_away(stream: TcpStream, refusal: &Refusal, cause: Cause, errors: Errors, local: &Rc<Local>) {
    let limits = SocketLimits { max_message_bytes: 0, outbox_bytes: 0, errors };
    if let Ok(Socket { outbox, .. }) = Socket::open(stream, &[], local.flusher.clone(), limits) {
        outbox.refuse_with(cause, refusal.code(), &refusal.message());
        local.metrics.disconnected(cause);
    }
}
