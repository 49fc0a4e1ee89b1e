//! Owns one shard: a thread with its rooms, local hubs and local proxies, its connections and its
//! flusher.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    future::ready,
    rc::{Rc, Weak},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext as _, Context, Handler, ResponseFuture};
use slog::Logger;

use super::{
    messages::{DrainShard, RunOnShard},
    requests::shard_index,
};
use crate::{
    config::Config,
    gate::RoomPermits,
    hub::{Deliver, HubHandle, LocalHub},
    observe::metrics::Metrics,
    protocol::{Cause, HubId, ProxyId, ServerFrame, server::HeartbeatTerms},
    proxy::{self, ProxyPlan},
    room::{Ledger, Logics, RoomEvents, RoomLogs, RoomSetting, Rooms, Till, messages::RoomEnded, show_settled},
    store::{Appender, Journal},
    ws::{Errors, Flusher, Outbox, json_frame, linger},
};

/// How many messages, such as new sockets, may wait. Past it, upgrades wait.
const MAILBOX_CAPACITY: usize = 1024;
/// How often a shard adds its own counters to the shared ones.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// The state that everything on a shard's thread shares. Never leaves the thread.
pub(crate) struct Local {
    pub logger: Logger,
    pub metrics: Arc<Metrics>,
    pub flusher: Rc<Flusher>,
    pub rooms: Rc<Rooms>,
    /// A hub that is off has the reason for its clients instead.
    hubs: HashMap<HubId, Result<Rc<LocalHub>, String>>,
    proxies: HashMap<ProxyId, Rc<proxy::LocalProxy>>,
    outboxes: RefCell<HashMap<u64, Weak<Outbox>>>,
    /// Set once draining. A connection that was admitted earlier is sent away when it arrives.
    draining: RefCell<Option<DrainShard>>,
    next_connection: Cell<u64>,
}

impl Local {
    /// Returns this shard's part of a hub.
    ///
    /// # Errors
    /// The text for a client of a hub that does not exist or is off.
    pub(crate) fn hub(&self, hub: &HubId) -> Result<Rc<LocalHub>, String> {
        self.hubs.get(hub).cloned().unwrap_or_else(|| Err("there is no such hub".to_owned()))
    }

    /// Returns this shard's part of a proxy, if there is such a proxy.
    pub(crate) fn proxy(&self, proxy: &ProxyId) -> Option<Rc<proxy::LocalProxy>> {
        self.proxies.get(proxy).cloned()
    }

    /// Returns a number for a new connection, larger than all earlier ones of this shard.
    pub(crate) fn next_connection(&self) -> u64 {
        let connection = self.next_connection.get() + 1;
        self.next_connection.set(connection);
        connection
    }

    /// Registers a connection for the drain.
    pub(crate) fn attach(&self, connection: u64, outbox: &Rc<Outbox>) {
        self.outboxes.borrow_mut().insert(connection, Rc::downgrade(outbox));
        if let Some(drain) = &*self.draining.borrow() {
            send_away(outbox, drain);
        }
    }

    pub(crate) fn detach(&self, connection: u64) {
        self.outboxes.borrow_mut().remove(&connection);
    }

    /// D4: asks every client to reconnect at its own time, then closes the connection.
    fn go_away(&self, drain: DrainShard) {
        let outboxes: Vec<_> = self.outboxes.borrow().values().filter_map(Weak::upgrade).collect();
        for outbox in outboxes.iter().filter(|outbox| outbox.cause().is_none()) {
            send_away(outbox, &drain);
        }
        self.draining.replace(Some(drain));
    }
}

fn send_away(outbox: &Rc<Outbox>, drain: &DrainShard) {
    let slot = drain.taken.fetch_add(1, Ordering::Relaxed).min(drain.slots);
    let after = drain.spread * slot / drain.slots.max(1);
    let frame = json_frame(|out| {
        let reconnect_after_ms = after.as_millis() as u64;
        ServerFrame::GoingAway { code: Cause::Draining.code(), reconnect_after_ms }.write(out);
    });
    // X6: a target without error frames gets no such frame either.
    outbox.close(Cause::Draining, Some(frame).filter(|_| outbox.errors() != Errors::Silent));
}

/// All hubs. A hub that is off has the reason instead.
pub(crate) type Hubs = Arc<BTreeMap<HubId, Result<HubHandle, String>>>;

/// What every shard is made from.
#[derive(Clone)]
pub(crate) struct ShardPlan {
    pub config: Arc<Config>,
    pub logics: Arc<Logics>,
    pub metrics: Arc<Metrics>,
    pub logger: Logger,
    pub registry: RoomEvents,
    pub journal: Option<Journal>,
    pub ledger: Arc<Ledger>,
    pub started: Instant,
    pub hubs: Hubs,
    pub proxies: Vec<ProxyPlan>,
    pub rooms: Arc<RoomPermits>,
}

/// The actor in front of [`Local`].
pub(crate) struct Shard {
    local: Rc<Local>,
}

impl Shard {
    /// Starts a shard on the current thread.
    pub(crate) fn start(index: usize, plan: ShardPlan) -> actix::Addr<Self> {
        let ShardPlan { config, logics, metrics, logger, registry, journal, ledger, started, hubs, proxies, rooms } =
            plan;
        Self::create(|context| {
            let flusher = Flusher::new(metrics.shard());
            actix_rt::spawn(flusher.clone().run());
            let journal = journal.map(Appender::journal);
            if let Some(journal) = &journal {
                actix_rt::spawn(show_settled(journal.clone()));
            }
            let (ended, deliver) = (context.address().recipient(), context.address().recipient());
            let heartbeat = HeartbeatTerms::new(config.connection.ping_interval, config.connection.ping_timeout);
            let local = |(id, hub): (&HubId, &Result<HubHandle, String>)| {
                let local = |hub: HubHandle| LocalHub::new(hub, index, deliver.clone(), heartbeat);
                (id.clone(), hub.clone().map(local))
            };
            let place = proxy::SessionHome { shard: index, shards: config.shards, of: shard_index };
            let relays = |plan: ProxyPlan| (plan.id().clone(), proxy::LocalProxy::new(plan, place));
            let setting = RoomSetting {
                config,
                metrics: metrics.clone(),
                logger: logger.clone(),
                ended,
                till: Till::new(ledger),
                started,
            };
            let logs = RoomLogs { memory: Appender::memory(Arc::default()), journal };
            let local = Local {
                logger,
                metrics,
                rooms: Rooms::new(index, setting, logics, rooms, registry, logs, flusher.clone()),
                flusher,
                hubs: hubs.iter().map(local).collect(),
                proxies: proxies.into_iter().map(relays).collect(),
                outboxes: RefCell::default(),
                draining: RefCell::default(),
                next_connection: Cell::new(0),
            };
            Self { local: Rc::new(local) }
        })
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        context.run_interval(PUBLISH_INTERVAL, |shard, _| shard.local.flusher.stats().publish());
    }
}

impl Handler<RunOnShard> for Shard {
    type Result = ();

    fn handle(&mut self, RunOnShard(adopt): RunOnShard, _: &mut Self::Context) {
        adopt(&self.local);
    }
}

impl Handler<Deliver> for Shard {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, deliver: Deliver, _: &mut Self::Context) -> Self::Result {
        match self.local.hub(&deliver.hub) {
            Ok(local) => local.deliver(deliver.handled, deliver.events),
            Err(_) => Box::pin(ready(())),
        }
    }
}

impl Handler<RoomEnded> for Shard {
    type Result = ();

    fn handle(&mut self, ended: RoomEnded, _: &mut Self::Context) {
        self.local.rooms.ended(ended);
    }
}

impl Handler<DrainShard> for Shard {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: DrainShard, _: &mut Self::Context) -> Self::Result {
        self.local.go_away(drain);
        let local = self.local.clone();
        Box::pin(async move {
            // Closed connections hand over their sockets to linger in later turns.
            while !local.outboxes.borrow().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for proxy in local.proxies.values() {
                proxy.drain().await;
            }
            linger::all_gone().await;
            local.flusher.stats().publish();
        })
    }
}
