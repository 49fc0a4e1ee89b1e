//! Owns `LocalProxy`: a proxy's part on one shard, with the sessions whose clients are there.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use slog::Logger;
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;

use super::{
    budget::Exceeded,
    handle::ProxyHandle,
    places::{Owner, SessionPermits},
    query::path_and_query,
    session::{ProxySession, Reception},
    session_actor::SessionActor,
};
use crate::{
    config::ProxyConfig,
    observe::metrics::{Metrics, ProxyMetrics},
    protocol::{ProxyId, ResumeReason, ServerFrame, Verdict, proxy::ProxyWelcome},
    ws::{Dialer, Errors, Outbox, json_frame},
};

/// A proxy, from which each shard makes its local proxy.
#[derive(Clone)]
pub(crate) struct ProxyPlan {
    pub(super) id: ProxyId,
    pub(super) config: Arc<ProxyConfig>,
    pub(super) metrics: Arc<ProxyMetrics>,
    pub(super) dialer: Dialer,
    pub(super) logger: Logger,
    places: Arc<SessionPermits>,
    /// X2: the bound of the queue toward the upstream, in bytes.
    queue_bytes: usize,
}

impl ProxyPlan {
    /// `queue_bytes` is `OUTBOX_BYTES`. Returns `None` if the id is not valid by P1.
    pub(crate) fn new(
        config: &ProxyConfig,
        queue_bytes: usize,
        dialer: Dialer,
        metrics: &Metrics,
        logger: Logger,
    ) -> Option<Self> {
        let metrics = metrics.proxy(&config.id, config.off.is_none());
        let places = SessionPermits::new(&config.budget);
        let id = ProxyId::parse(&config.id).ok()?;
        Some(Self { id, config: Arc::new(config.clone()), metrics, dialer, logger, places, queue_bytes })
    }

    pub(crate) fn id(&self) -> &ProxyId {
        &self.id
    }
}

/// Where a local proxy is: a session's secret must lead to the shard of the session.
#[derive(Clone, Copy)]
pub(crate) struct SessionHome {
    pub shard: usize,
    pub shards: usize,
    /// Returns the shard of a secret, given the number of shards.
    pub of: fn(&str, usize) -> usize,
}

/// A client that asks to enter.
pub(crate) struct VisitRequest<'a> {
    /// Unique on this shard.
    pub connection: u64,
    pub outbox: &'a Rc<Outbox>,
    /// The `sub` of the client's token.
    pub name: Option<&'a str>,
    pub role: &'a str,
    /// The address that limits count by. The proxy's own limits use it only if there is no name.
    pub address: IpAddr,
    pub session: Option<&'a str>,
    /// How many frames of the upstream the client has received.
    pub seen: Option<u64>,
    pub query: Option<&'a str>,
    /// A5a: the client may only replace a connection from the same address.
    pub must_replace: bool,
}

/// A client that has entered.
pub(crate) struct Admitted {
    pub handle: ProxyHandle,
    pub verdict: Verdict,
}

/// Why a client may not enter. Nothing was sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unadmitted {
    /// The proxy is off, for the reason in the text.
    Off(String),
    /// The role may not use this proxy.
    Role,
    Budget(Exceeded),
    /// The client had to replace a connection, and there was none (A5a).
    NothingReplaced,
}

/// Never leaves its shard's thread.
pub(crate) struct LocalProxy {
    plan: ProxyPlan,
    home: SessionHome,
    /// Sessions that a client may take over or come back to, by number.
    sessions: RefCell<HashMap<u64, Session>>,
    /// How many session actors run; some may be closing.
    running: Cell<usize>,
    last: Cell<u64>,
    changed: Notify,
}

struct Session {
    secret: String,
    owner: Owner,
    handle: ProxyHandle,
}

impl LocalProxy {
    pub(crate) fn new(plan: ProxyPlan, home: SessionHome) -> Rc<Self> {
        Rc::new(Self {
            plan,
            home,
            sessions: RefCell::default(),
            running: Cell::new(0),
            last: Cell::new(0),
            changed: Notify::new(),
        })
    }

    /// The longest message that is accepted from a client of this proxy.
    pub(crate) fn max_message_bytes(&self) -> usize {
        self.plan.config.max_client_message_bytes
    }

    /// How a client of this proxy gets errors (X6).
    pub(crate) fn errors(&self) -> Errors {
        if self.plan.config.error_frames { Errors::Nested } else { Errors::Silent }
    }

    pub(super) fn plan(&self) -> &ProxyPlan {
        &self.plan
    }

    /// Lets a client enter: its session, if it shows the session's secret, else a new one. Call
    /// [`ProxyHandle::leave`] when its connection is over.
    ///
    /// # Errors
    /// [`Unadmitted`]; the caller closes the connection.
    pub(crate) fn enter(self: &Rc<Self>, visit: &VisitRequest<'_>) -> Result<Admitted, Unadmitted> {
        let config = &self.plan.config;
        if let Some(why) = &config.off {
            return Err(Unadmitted::Off(why.clone()));
        }
        if !config.roles.iter().any(|role| role == visit.role) {
            return Err(Unadmitted::Role);
        }
        let owner = visit.name.map_or(Owner::Address(visit.address), |name| Owner::Player(name.to_owned()));
        if let Some((secret, handle)) = visit.session.and_then(|session| self.find(session, &owner, visit)) {
            return Ok(self.welcome(visit, &secret, handle, None));
        }
        if visit.must_replace {
            return Err(Unadmitted::NothingReplaced);
        }

        let permit = self.plan.places.take(owner.clone()).map_err(|exceeded| {
            self.plan.metrics.budget_closes.inc();
            Unadmitted::Budget(exceeded)
        })?;
        let number = self.last.get() + 1;
        self.last.set(number);
        let session = ProxySession::new(config.clone(), self.plan.metrics.clone(), self.plan.queue_bytes);
        let path_and_query = path_and_query(config, visit.query);
        self.running.set(self.running.get() + 1);
        let handle = SessionActor::start(number, self.clone(), session, Rc::new(permit), path_and_query);
        let secret = self.secret(number);
        let session = Session { secret: secret.clone(), owner, handle: handle.clone() };
        if !config.resume.is_zero() {
            self.sessions.borrow_mut().insert(number, session);
        }
        let begun = if visit.session.is_some() { Verdict::Reset } else { Verdict::New };
        Ok(self.welcome(visit, &secret, handle, Some(begun)))
    }

    /// Returns the session of this secret, if it belongs to this owner and its permit was not given
    /// to a newer session. An address is not compared with the owner, since it may change between
    /// connections.
    fn find(&self, secret: &str, owner: &Owner, visit: &VisitRequest<'_>) -> Option<(String, ProxyHandle)> {
        let number = secret.split_once('.').and_then(|(number, _)| u64::from_str_radix(number, 16).ok())?;
        let sessions = self.sessions.borrow();
        let session = sessions.get(&number)?;
        let is_right = bool::from(session.secret.as_bytes().ct_eq(secret.as_bytes()));
        let is_theirs = matches!(owner, Owner::Address(_)) || session.owner == *owner;
        let may_come = !visit.must_replace || session.handle.session.client_address() == Some(visit.address);
        (is_right && is_theirs && may_come && session.handle.permit.back())
            .then(|| (session.secret.clone(), session.handle.clone()))
    }

    /// Makes `number.random`, such that the secret leads to this shard.
    fn secret(&self, number: u64) -> String {
        loop {
            let secret = format!("{number:x}.{}", uuid::Uuid::new_v4().simple());
            if (self.home.of)(&secret, self.home.shards) == self.home.shard {
                return secret;
            }
        }
    }

    /// `begun` is the verdict for a session that begins now.
    fn welcome(&self, visit: &VisitRequest<'_>, secret: &str, handle: ProxyHandle, begun: Option<Verdict>) -> Admitted {
        let config = &self.plan.config;
        let mut decided = Verdict::New;
        handle.session.attach(
            (visit.connection, visit.address),
            visit.outbox,
            visit.seen.filter(|_| begun.is_none()),
            |reception| {
                let (verdict, reason) = judge(begun, reception);
                decided = verdict;
                let welcome = ServerFrame::ProxyWelcome(ProxyWelcome {
                    protocol: 1,
                    proxy: &self.plan.id,
                    session: secret,
                    resume: verdict,
                    reason,
                    lost: reception.missed.lost,
                    seq: reception.newest,
                    next: reception.missed.next,
                    last_id: reception.last_id,
                    resume_ms: config.resume.as_millis() as u64,
                    max_message_bytes: config.max_client_message_bytes,
                });
                (!config.resume.is_zero()).then(|| json_frame(|out| welcome.write(out)))
            },
        );
        Admitted { handle, verdict: decided }
    }

    /// No client may come back to this session any more.
    pub(super) fn forget(&self, number: u64) {
        let session = self.sessions.borrow_mut().remove(&number);
        drop(session);
    }

    /// A session actor has ended.
    pub(super) fn ended(&self) {
        self.running.set(self.running.get() - 1);
        self.changed.notify_waiters();
    }

    /// The server stops: closes every upstream, also those whose clients are away. Resolves when
    /// the last is closed.
    pub(crate) async fn drain(&self) {
        let handles: Vec<_> = self.sessions.borrow().values().map(|session| session.handle.clone()).collect();
        handles.iter().for_each(ProxyHandle::end);
        drop(handles);
        while self.running.get() > 0 {
            self.changed.notified().await;
        }
    }
}

fn judge(begun: Option<Verdict>, reception: &Reception) -> (Verdict, Option<ResumeReason>) {
    match begun {
        Some(Verdict::Reset) => (Verdict::Reset, Some(ResumeReason::SessionExpired)),
        Some(verdict) => (verdict, None),
        None if reception.is_ahead => (Verdict::Snapshot, Some(ResumeReason::SeqAhead)),
        None if reception.missed.lost.is_some() => (Verdict::Snapshot, Some(ResumeReason::HistoryTooShort)),
        None => (Verdict::Continuous, None),
    }
}
