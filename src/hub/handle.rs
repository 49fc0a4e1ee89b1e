//! Owns `HubHandle`: a hub for whoever does not live on its thread, through all of its lives; it
//! replaces one that failed.

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

/// Numbers of a hub's next life begin so far above those of the one before: more values than any life has.
pub(super) const NUMBERS_OF_A_LIFE: u64 = 1 << 40;

/// What a hub is started from, and started again from.
pub struct HubPlan {
    pub id: HubId,
    pub config: HubConfig,
    pub origin: SourceFactory,
    /// Topics that all connections of one address may have together.
    pub max_topics_per_address: usize,
    pub metrics: Arc<HubMetrics>,
    pub logger: Logger,
}

/// A hub that runs, or could. Cheap to clone.
#[derive(Clone)]
pub struct HubHandle(Arc<HubShared>);

struct HubShared {
    plan: HubPlan,
    arbiter: ArbiterHandle,
    /// Unix ms.
    started: u64,
    running: Mutex<RunningHub>,
    shares: Arc<Shares>,
    /// Of all shards.
    clients: AtomicUsize,
}

#[derive(Default)]
struct RunningHub {
    address: Option<Addr<Hub>>,
    /// Which life this is, from 1.
    life: u64,
    budget: RestartBudget,
    branches: BTreeMap<usize, Recipient<Deliver>>,
}

/// Why nothing was published.
#[derive(Debug, PartialEq, Eq)]
pub enum PublishError {
    /// The bus has as many topics as it may.
    Full,
    /// The topic would be new, and this client or its address has made as many as it may.
    Share,
    /// There is no hub at the moment.
    Gone,
    /// The idempotency key came with another body before.
    Mismatch,
}

impl PublishError {
    pub const FULL: &str = "the bus has as many topics as it may; nothing was published";
    pub const SHARE: &str = "this client, or all of its address together, has made as many topics of the bus as it may \
                             (a tenth of max_topics; max_topics_per_address); nothing was published";
    pub const GONE: &str = "the hub cannot do that at the moment; nothing is known to be published";
}

/// What a publisher gets first: its value has a place in the order of all values.
pub struct Receipt {
    pub(super) answer: oneshot::Receiver<u64>,
    /// The topic had no value before.
    pub(super) is_new: bool,
}

impl Receipt {
    /// The topic's new number, once the value is stored, as `DURABILITY` says (D1).
    ///
    /// # Errors
    /// [`PublishError::Gone`]: whether the value is kept is not known.
    pub async fn seq(self) -> Result<u64, PublishError> {
        self.answer.await.map_err(|_| PublishError::Gone)
    }
}

impl HubHandle {
    /// Starts it on a thread of its own.
    pub fn start(plan: HubPlan) -> Self {
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

    pub fn id(&self) -> &HubId {
        &self.0.plan.id
    }

    pub fn config(&self) -> &HubConfig {
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

    /// Whether its values are published; else they come from somewhere, and nobody can.
    pub fn is_bus(&self) -> bool {
        matches!(self.origin(), SourceFactory::Bus(_))
    }

    /// What is true of the feed before the hub has said anything, and of one without upstream always.
    pub(super) fn first_status(&self) -> FeedStatus {
        let state =
            if matches!(self.origin(), SourceFactory::Upstream(_)) { FeedState::Disconnected } else { FeedState::Live };
        FeedStatus { state, since: self.0.started, attempt: 0, fatal: false }
    }

    /// What numbers of this life are above of.
    pub(super) fn floor(life: u64) -> u64 {
        (life - 1) * NUMBERS_OF_A_LIFE
    }

    /// A shard is to hear what the hub says, and what becomes of it.
    pub(super) fn attach(&self, shard: usize, branch: Recipient<Deliver>) {
        self.lock().branches.insert(shard, branch);
    }

    /// `None`: it has failed too often of late.
    pub(super) fn address(&self) -> Option<Addr<Hub>> {
        let mut running = self.lock();
        match &running.address {
            Some(address) if address.connected() => Some(address.clone()),
            Some(_) => self.replace(&mut running),
            None => self.begin(&mut running),
        }
    }

    /// A life is over: hubs never end by themselves.
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
            self.tell(running, &HubEvent::Ended);
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
        // Before anything that the new hub itself may say.
        self.tell(running, &HubEvent::Restarted(now.unix_ms));
        let (handle, life) = (self.clone(), running.life);
        let address = Hub::start_in_arbiter(&self.0.arbiter, move |_| Hub::new(handle, life));
        running.address = Some(address.clone());
        Some(address)
    }

    fn tell(&self, running: &RunningHub, news: &HubEvent) {
        for branch in running.branches.values() {
            branch.do_send(Deliver { hub: self.id().clone(), heard: 0, news: vec![news.clone()] });
        }
    }

    fn lock(&self) -> MutexGuard<'_, RunningHub> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client came; on whichever shard.
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

    /// The first and the last change what the hub does; those in between are for whoever looks closely.
    fn log_clients(&self, what: &str, clients: usize, matters: bool) {
        let id = self.id();
        if matters {
            info!(self.logger(), "[ConnectionPool] {what}"; "hub" => %id, "clients" => clients);
        } else {
            debug!(self.logger(), "[ConnectionPool] {what}"; "hub" => %id, "clients" => clients);
        }
    }

    /// Publishes to an event bus, behind everything for which there is a receipt already.
    ///
    /// # Errors
    /// [`PublishError`]; nobody has seen it.
    pub async fn publish(&self, topic: Topic, data: RawJson, by: Publisher) -> Result<Receipt, PublishError> {
        let hub = self.address().ok_or(PublishError::Gone)?;
        hub.send(Publish { topic, data, by }).await.unwrap_or(Err(PublishError::Gone))
    }

    /// The server stops: closes the connection to the upstream. Resolves when that is done, or there is none. A bus is not
    /// asked: it may wait for a store that fails.
    pub async fn stop(&self) {
        let hub = self.lock().address.clone().filter(|_| matches!(self.origin(), SourceFactory::Upstream(_)));
        if let Some(hub) = hub {
            let _ = hub.send(Stop).await;
        }
    }

    /// The topics that are there, by name. `None` while there is no hub.
    pub async fn topics(&self) -> Option<Vec<TopicLine>> {
        self.address()?.send(ListTopics).await.ok()
    }
}
