//! Owns `HubHandle`: what other threads hold of a hub, through all of its lives; it replaces a hub
//! that failed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix::{Actor as _, Addr, Arbiter, ArbiterHandle, Recipient};
use slog::{Logger, debug, error, info};
use tokio::sync::oneshot;

use super::{
    actor::Hub,
    event::HubEvent,
    messages::{Deliver, ListTopics, Publish, Publisher, Stop, TopicLine},
    shares::Shares,
    source::SourceFactory,
    uplink::FeedStatus,
};
use crate::{
    budget::RestartBudget,
    clock::Now,
    config::HubConfig,
    observe::metrics::HubMetrics,
    protocol::{FeedState, HubId, RawJson, Topic},
};

/// The numbers of a hub's next life begin this far above those of the life before: more than the
/// values of any life.
pub(super) const NUMBERS_OF_A_LIFE: u64 = 1 << 40;

/// What every life of a hub is started from.
pub(crate) struct HubPlan {
    pub id: HubId,
    pub config: HubConfig,
    pub origin: SourceFactory,
    /// The most topics that all connections of one address may have together.
    pub max_topics_per_address: usize,
    pub metrics: Arc<HubMetrics>,
    pub logger: Logger,
}

/// A hub, whether it runs at the moment or not. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HubHandle(Arc<HubShared>);

struct HubShared {
    plan: HubPlan,
    arbiter: ArbiterHandle,
    /// Unix ms.
    started: u64,
    running: Mutex<RunningHub>,
    shares: Arc<Shares>,
    /// On all shards.
    clients: AtomicUsize,
}

#[derive(Default)]
struct RunningHub {
    address: Option<Addr<Hub>>,
    /// The number of the newest life, from 1.
    life: u64,
    budget: RestartBudget,
    locals: BTreeMap<usize, Recipient<Deliver>>,
}

/// Why a value was not published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// The bus has as many topics as it may.
    Full,
    /// The topic would be new, and this client or its address has created as many as it may.
    Share,
    /// There is no hub at the moment, or its store accepts nothing.
    Gone,
    /// The idempotency key was used with another body before.
    Mismatch,
}

impl PublishError {
    pub(crate) const FULL: &str = "the bus has as many topics as it may; nothing was published";
    pub(crate) const SHARE: &str = "this client, or all of its address together, has made as many topics of the bus as it may \
                             (a tenth of max_topics; max_topics_per_address); nothing was published";
    pub(crate) const GONE: &str = "the hub cannot do that at the moment; nothing is known to be published";
}

/// What a publisher gets first: its value has its place in the order of all values, but is not
/// stored yet.
pub(crate) struct Receipt {
    pub(super) answer: oneshot::Receiver<u64>,
    /// True if the topic had no value before.
    pub(super) is_new: bool,
}

impl Receipt {
    /// Resolves to the topic's new number, once the value is stored as `DURABILITY` requires (D1).
    ///
    /// # Errors
    /// [`PublishError::Gone`]: whether the value is stored is unknown.
    pub(crate) async fn seq(self) -> Result<u64, PublishError> {
        self.answer.await.map_err(|_| PublishError::Gone)
    }
}

impl HubHandle {
    /// Starts the hub on a thread of its own.
    pub(crate) fn start(plan: HubPlan) -> Self {
        let shared = HubShared {
            shares: Shares::new(plan.max_topics_per_address),
            plan,
            arbiter: Arbiter::new().handle(),
            started: Now::read().unix_ms,
            running: Mutex::default(),
            clients: AtomicUsize::new(0),
        };
        let handle = Self(Arc::new(shared));
        handle.address();
        handle
    }

    pub(crate) fn id(&self) -> &HubId {
        &self.0.plan.id
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.0.plan.config
    }

    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.0.shares
    }

    pub(super) fn origin(&self) -> &SourceFactory {
        &self.0.plan.origin
    }

    pub(super) fn metrics(&self) -> &HubMetrics {
        &self.0.plan.metrics
    }

    pub(super) fn logger(&self) -> &Logger {
        &self.0.plan.logger
    }

    /// Returns true if clients and back ends publish the hub's values; all others come from the
    /// server or an upstream.
    pub(crate) fn is_bus(&self) -> bool {
        matches!(self.origin(), SourceFactory::Bus(_))
    }

    /// The state of the feed before the hub has sent one. Without an upstream it never changes.
    pub(super) fn first_status(&self) -> FeedStatus {
        let state =
            if matches!(self.origin(), SourceFactory::Upstream(_)) { FeedState::Disconnected } else { FeedState::Live };
        FeedStatus { state, since: self.0.started, attempt: 0, fatal: false }
    }

    /// Numbers of earlier lives are all below this one.
    pub(super) fn floor(life: u64) -> u64 {
        (life - 1) * NUMBERS_OF_A_LIFE
    }

    /// From now on the shard gets the events of every life of the hub, and learns when a life ends.
    pub(super) fn attach(&self, shard: usize, local: Recipient<Deliver>) {
        self.lock().locals.insert(shard, local);
    }

    /// Returns the running hub, and starts or replaces it if it does not run. `None` if it has
    /// failed too often of late.
    pub(super) fn address(&self) -> Option<Addr<Hub>> {
        let mut running = self.lock();
        match &running.address {
            Some(address) if address.connected() => Some(address.clone()),
            Some(_) => self.replace(&mut running),
            None => self.begin(&mut running),
        }
    }

    /// Replaces the hub of this life, which has failed: a hub never ends by itself.
    pub(super) fn ended(&self, life: u64) {
        let mut running = self.lock();
        if running.life == life && running.address.is_some() {
            self.replace(&mut running);
        }
    }

    fn replace(&self, running: &mut RunningHub) -> Option<Addr<Hub>> {
        let now = Now::read();
        running.address = None;
        running.budget.spend(now.instant);
        self.metrics().restarts.inc();
        let next = self.begin(running);
        if next.is_some() {
            error!(self.logger(), "[WS {}] hub failed and is started again", self.id(); "hub" => %self.id());
        } else {
            self.send_event(running, &HubEvent::Ended);
            error!(self.logger(), "[WS {}] hub keeps failing; its subscribers are closed", self.id(); "hub" => %self.id());
        }
        next
    }

    fn begin(&self, running: &mut RunningHub) -> Option<Addr<Hub>> {
        let now = Now::read();
        if running.budget.is_spent(now.instant) {
            return None;
        }
        running.life += 1;
        // Sent before any event of the new life.
        self.send_event(running, &HubEvent::Restarted(now.unix_ms));
        let (handle, life) = (self.clone(), running.life);
        let address = Hub::start_in_arbiter(&self.0.arbiter, move |_| Hub::new(handle, life));
        running.address = Some(address.clone());
        Some(address)
    }

    fn send_event(&self, running: &RunningHub, event: &HubEvent) {
        for local in running.locals.values() {
            local.do_send(Deliver { hub: self.id().clone(), handled: 0, events: vec![event.clone()] });
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunningHub> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a client that entered, on any shard.
    pub(super) fn client_entered(&self) {
        let before = self.0.clients.fetch_add(1, Ordering::Relaxed);
        self.metrics().clients.inc();
        self.log_clients("client registered", before + 1, before == 0);
    }

    pub(super) fn client_left(&self) {
        let before = self.0.clients.fetch_sub(1, Ordering::Relaxed);
        self.metrics().clients.dec();
        self.log_clients("client left", before - 1, before == 1);
    }

    /// The first client and the last change what the hub does, so they are logged as info; all
    /// others as debug.
    fn log_clients(&self, what: &str, clients: usize, matters: bool) {
        let id = self.id();
        if matters {
            info!(self.logger(), "[ConnectionPool] {what}"; "hub" => %id, "clients" => clients);
        } else {
            debug!(self.logger(), "[ConnectionPool] {what}"; "hub" => %id, "clients" => clients);
        }
    }

    /// Publishes to an event bus, after every value for which a receipt was returned before.
    ///
    /// # Errors
    /// [`PublishError`]: no subscriber has seen the value.
    pub(crate) async fn publish(&self, topic: Topic, data: RawJson, by: Publisher) -> Result<Receipt, PublishError> {
        let hub = self.address().ok_or(PublishError::Gone)?;
        hub.send(Publish { topic, data, by }).await.unwrap_or(Err(PublishError::Gone))
    }

    /// The server stops: closes the connection to the upstream. Resolves when it is closed, or if
    /// there is none. A bus is not asked, as it may be waiting for a store that fails.
    pub(crate) async fn stop(&self) {
        let hub = self.lock().address.clone().filter(|_| matches!(self.origin(), SourceFactory::Upstream(_)));
        if let Some(hub) = hub {
            let _ = hub.send(Stop).await;
        }
    }

    /// Returns the hub's topics by name; `None` while there is no hub.
    pub(crate) async fn topics(&self) -> Option<Vec<TopicLine>> {
        self.address()?.send(ListTopics).await.ok()
    }
}
