//! Owns the `SessionActor`: one session's upstream, from dialling to its end, with a pump for each
//! direction.

use std::{
    future::poll_fn,
    rc::Rc,
    time::{Duration, Instant},
};

use actix::{
    Actor, ActorContext as _, ActorFutureExt as _, AsyncContext as _, Context, Handler, SpawnHandle, StreamHandler,
    WrapFuture as _,
};
use slog::{info, warn};
use tokio::task::JoinHandle;

use super::{
    budget::Exceeded,
    codes,
    handle::ProxyHandle,
    local_proxy::LocalProxy,
    messages::{ClientLeft, HangUp},
    places::SessionPermit,
    pumps::{downward, upward},
    session::{Ending, ProxySession},
};
use crate::{
    clock,
    protocol::Cause,
    ws::{DialError, Incoming, LinkError, LinkReader, LinkWriter, PROBE_INTERVAL},
};

/// How long an upstream may take to accept and answer our close frame; then its socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(1000);

/// The longest `Retry-After` of an upstream that is passed on; a longer one is cut to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// X4: the upstream is closed within 2 s of its client's end, including the time to detect that
/// end. Tests allow for slow machines; this does not.
const _: () = assert!(2 * PROBE_INTERVAL.as_millis() + CLOSE_TIMEOUT.as_millis() < 2000);

/// The close code for an upstream whose client is gone.
const CLIENT_GONE: u16 = 1001;
/// The close code for an upstream whose session this server ended.
const FINISHED: u16 = 1000;

/// One session. It ends when its upstream is gone and its client was closed, or when no client can
/// come back to it.
pub(super) struct SessionActor {
    number: u64,
    local: Rc<LocalProxy>,
    session: Rc<ProxySession>,
    /// Released when the upstream is gone, or when only its answer to our close frame is missing: a
    /// client that hangs up may come again at once.
    permit: Rc<SessionPermit>,
    path_and_query: String,
    started: Instant,
    upstream: UpstreamPhase,
    /// The two pumps, while the upstream is open; they hold its socket. The upward pump is a task
    /// of its own, so a client's message does not have to pass the actor.
    downward: Option<SpawnHandle>,
    upward: Option<JoinHandle<()>>,
    /// Why this server closed the upstream.
    closed_for: Option<Cause>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UpstreamPhase {
    Dialing,
    Open,
    /// This server has closed it, and waits for its answer.
    Closing,
    Gone,
}

impl SessionActor {
    /// Starts dialling. `number` is the session's number in its local proxy.
    pub(super) fn start(
        number: u64,
        local: Rc<LocalProxy>,
        session: Rc<ProxySession>,
        permit: Rc<SessionPermit>,
        path_and_query: String,
    ) -> ProxyHandle {
        let metrics = &local.plan().metrics;
        metrics.sessions.inc();
        metrics.sessions_total.inc();
        let actor = Self {
            number,
            local,
            session: session.clone(),
            permit: permit.clone(),
            path_and_query,
            started: Instant::now(),
            upstream: UpstreamPhase::Dialing,
            downward: None,
            upward: None,
            closed_for: None,
        };
        ProxyHandle { session, permit, actor: Actor::start(actor) }
    }

    fn dialed(&mut self, dialed: Result<(LinkReader, LinkWriter), DialError>, context: &mut Context<Self>) {
        let plan = self.local.plan();
        let duration_ms = self.started.elapsed().as_millis() as u64;
        match dialed {
            Ok((reader, writer)) => {
                info!(plan.logger, "[Proxy {}] upstream opened", plan.id; "proxy" => %plan.id, "duration_ms" => duration_ms);
                self.upstream = if self.closed_for.is_some() { UpstreamPhase::Closing } else { UpstreamPhase::Open };
                self.downward = Some(Self::add_stream(downward(self.session.clone(), reader), context));
                self.upward = Some(actix_rt::spawn(upward(self.session.clone(), writer)));
            }
            Err(error) => {
                warn!(
                    plan.logger, "[Proxy {}] upstream failed", plan.id;
                    "proxy" => %plan.id, "duration_ms" => duration_ms, "error" => %error
                );
                let cause = match error.status() {
                    Some(401 | 403 | 404) => Cause::UpstreamRefused,
                    Some(429) => Cause::UpstreamBusy,
                    _ => Cause::UpstreamFailed,
                };
                let why = match error.status() {
                    Some(status) => format!("the upstream refused the connection with status {status}"),
                    None => "the upstream cannot be reached; come back later".to_owned(),
                };
                let errors = self.local.errors();
                let last = match error.retry_after().map(|pause| pause.min(MAX_RETRY_AFTER)) {
                    Some(pause) => {
                        let why = format!("{why}; it asks to be left alone for {} s", pause.as_secs());
                        errors.frame_for_later(cause.name(), &why, pause)
                    }
                    None => errors.frame(cause.name(), &why, None),
                };
                self.gone(Ending { cause, reason: cause.name().to_owned(), last }, context);
            }
        }
    }

    /// The upstream is gone. The client is closed behind everything that it still gets.
    fn gone(&mut self, ending: Ending, context: &mut Context<Self>) {
        let was = std::mem::replace(&mut self.upstream, UpstreamPhase::Gone);
        if was == UpstreamPhase::Open || was == UpstreamPhase::Closing {
            self.log_end(ending.cause);
        }
        self.permit.release();
        self.local.plan().metrics.sessions.dec();
        self.session.forget_queue();
        self.downward.take().map(|pump| context.cancel_future(pump));
        self.upward.take().inspect(JoinHandle::abort);
        if self.closed_for.is_some() {
            context.stop();
            return;
        }
        self.session.end(ending);
        let session = self.session.clone();
        let ended = poll_fn(move |context| session.poll_end(context));
        context.spawn(ended.into_actor(self).map(|(), _, context| context.stop()));
    }

    /// Closes the upstream for good; a client that comes back later does not find the session.
    fn hang_up(&mut self, code: u16, cause: Cause, context: &mut Context<Self>) {
        self.local.forget(self.number);
        self.permit.release();
        // Messages that the client sent before it left are still delivered, if there is time.
        let has_words = self.session.has_messages();
        self.session.close_upstream(code, "");
        match self.upstream {
            _ if self.closed_for.is_some() => {}
            UpstreamPhase::Gone => context.stop(),
            UpstreamPhase::Dialing if !has_words => context.stop(),
            UpstreamPhase::Dialing | UpstreamPhase::Open => {
                context.run_later(CLOSE_TIMEOUT, |_, context| context.stop());
            }
            UpstreamPhase::Closing => {}
        }
        if self.upstream == UpstreamPhase::Open {
            self.upstream = UpstreamPhase::Closing;
        }
        self.closed_for.get_or_insert(cause);
    }

    fn exceed(&mut self, exceeded: Exceeded, context: &mut Context<Self>) {
        let cause = Cause::BudgetExceeded;
        self.local.plan().metrics.budget_closes.inc();
        self.session.close_client(cause, self.local.errors().frame(cause.name(), &exceeded.to_string(), None));
        self.hang_up(FINISHED, cause, context);
    }

    fn log_end(&self, cause: Cause) {
        let cause = self.closed_for.unwrap_or(cause);
        let plan = self.local.plan();
        let (bytes, messages) = self.session.spent();
        info!(
            plan.logger, "[Proxy {}] upstream closed", plan.id;
            "proxy" => %plan.id, "cause" => cause.name(), "code" => cause.code(),
            "duration_ms" => self.started.elapsed().as_millis() as u64, "messages" => messages, "bytes" => bytes
        );
    }

    /// Ends the session at `due` if the client has not come back since this visit.
    fn give_up_at(&mut self, due: Instant, visit: u64, cause: Cause, context: &mut Context<Self>) {
        let wait = due.saturating_duration_since(Instant::now());
        context.run_later(wait, move |actor, context| {
            if actor.session.visit() != (visit, false) {
                return;
            }
            match clock::postponed(due, Instant::now()) {
                Some(later) => actor.give_up_at(later, visit, cause, context),
                None => actor.hang_up(CLIENT_GONE, cause, context),
            }
        });
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let plan = self.local.plan();
        let (dialer, config, path) = (plan.dialer.clone(), plan.config.clone(), self.path_and_query.clone());
        let dialing = async move { dialer.dial(&config.endpoint, Some(&path)).await };
        context.spawn(dialing.into_actor(self).map(|dialed, actor, context| actor.dialed(dialed, context)));
        if let Some(session) = self.local.plan().config.budget.session {
            context.run_later(session, move |actor, context| {
                actor.exceed(Exceeded::Seconds(session.as_secs()), context);
            });
        }
    }
}

impl StreamHandler<Result<Incoming, LinkError>> for SessionActor {
    fn handle(&mut self, item: Result<Incoming, LinkError>, context: &mut Self::Context) {
        let ending = |cause: Cause, reason: &str, last| Ending { cause, reason: reason.to_owned(), last };
        match item {
            Ok(message @ (Incoming::Text(_) | Incoming::Binary(_))) => {
                if self.upstream == UpstreamPhase::Open
                    && let Err(exceeded) = self.session.receive(&message)
                {
                    self.exceed(exceeded, context);
                }
            }
            Ok(Incoming::Pong) => {}
            Ok(Incoming::Close(close)) => {
                let code = codes::to_client(close.as_ref().map(|(code, _)| *code));
                let reason = close.map(|(_, reason)| reason).unwrap_or_default();
                self.gone(ending(Cause::UpstreamClosed(code), &reason, None), context);
            }
            Err(LinkError::Lost) => self.lost(context),
            Err(error) => {
                let why = format!("the upstream's frames cannot be passed on: {error}");
                let last = self.local.errors().frame(Cause::UpstreamFailed.name(), &why, None);
                self.gone(ending(Cause::UpstreamFailed, Cause::UpstreamFailed.name(), last), context);
            }
        }
    }

    /// The stream has ended. If the upstream sent no close frame before, it was lost.
    fn finished(&mut self, context: &mut Self::Context) {
        if self.upstream != UpstreamPhase::Gone {
            self.lost(context);
        }
    }
}

impl SessionActor {
    /// X4: 1006 becomes 1011.
    fn lost(&mut self, context: &mut Context<Self>) {
        let cause = Cause::UpstreamClosed(codes::to_client(None));
        self.gone(Ending { cause, reason: "upstream_lost".to_owned(), last: None }, context);
    }
}

impl Handler<ClientLeft> for SessionActor {
    type Result = ();

    fn handle(&mut self, ClientLeft { cause, may_come_back }: ClientLeft, context: &mut Self::Context) {
        let (visit, is_there) = self.session.visit();
        if is_there {
            return;
        }
        if !may_come_back {
            self.hang_up(CLIENT_GONE, cause, context);
            return;
        }
        let due = Instant::now() + self.local.plan().config.resume;
        self.give_up_at(due, visit, cause, context);
    }
}

impl Handler<HangUp> for SessionActor {
    type Result = ();

    fn handle(&mut self, HangUp(cause): HangUp, context: &mut Self::Context) {
        self.hang_up(CLIENT_GONE, cause, context);
    }
}

/// Cleans up when the session ends, in good order or by a panic.
impl Drop for SessionActor {
    fn drop(&mut self) {
        self.upward.take().inspect(JoinHandle::abort);
        self.permit.release();
        self.session.forget_queue();
        self.session.close_client(Cause::UpstreamFailed, None);
        self.local.forget(self.number);
        self.local.ended();
        if self.upstream != UpstreamPhase::Gone {
            self.local.plan().metrics.sessions.dec();
        }
        if self.upstream == UpstreamPhase::Open || self.upstream == UpstreamPhase::Closing {
            self.log_end(Cause::ConnectionLost);
        }
    }
}
