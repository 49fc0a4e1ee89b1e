//! Owns the global `Registry` actor: admission limits (A3, A5, A6), the shard of each room, and the
//! drain.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, ResponseFuture};
use slog::Logger;
use tokio::sync::watch;

use super::{
    messages::{Admit, AttachShards, Drain, DrainShard, ListRooms, PermitReleased, RoomPage},
    permit::Permit,
    shard::Shard,
};
use crate::{
    config::Config,
    gate::{Permits, RateLimiter},
    observe::{self, metrics::Metrics},
    protocol::{GameId, Refusal},
    room::messages::{RoomClosed, RoomOpened},
};

/// How many admission requests may wait in the mailbox. Past it, their senders wait.
const MAILBOX_CAPACITY: usize = 4096;

/// How often a drain checks whether the last connection is gone.
const DRAIN_INTERVAL: Duration = Duration::from_millis(5);

/// How many addresses are remembered with their attempts. Past it, the address whose window began
/// first is forgotten.
const MAX_ADDRESSES: usize = 100_000;

/// The phase of the server, shown by `/ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerPhase {
    Starting,
    Ready,
    Draining,
}

/// The only actor with a view of the whole server.
pub(crate) struct Registry {
    config: Arc<Config>,
    logger: Logger,
    metrics: Arc<Metrics>,
    permits: Permits,
    attempts: RateLimiter,
    /// Attempts that come from pages of foreign origins, through their users' browsers.
    foreign: RateLimiter,
    rooms: HashMap<GameId, usize>,
    shards: Vec<Addr<Shard>>,
    phase: Arc<watch::Sender<ServerPhase>>,
}

impl Registry {
    /// `phase` is what `/ready` shows.
    pub(crate) fn new(
        config: Arc<Config>,
        logger: Logger,
        metrics: Arc<Metrics>,
        phase: Arc<watch::Sender<ServerPhase>>,
    ) -> Self {
        let gate = &config.gate;
        Self {
            permits: Permits::new(gate.max_connections_per_ip, gate.max_connections),
            attempts: RateLimiter::new(gate.rate_limit_max_requests, gate.rate_limit_window, MAX_ADDRESSES),
            foreign: RateLimiter::new(gate.rate_limit_max_requests, gate.rate_limit_window, MAX_ADDRESSES),
            rooms: HashMap::new(),
            shards: Vec::new(),
            config,
            logger,
            metrics,
            phase,
        }
    }

    /// Returns the limit that the permit exceeds (A5a), if it exceeds one.
    fn admit(&mut self, admit: &Admit, now: Instant) -> Result<Option<Refusal>, Refusal> {
        let address = admit.address;
        if !admit.is_repeated {
            let attempts = if admit.is_foreign { &mut self.foreign } else { &mut self.attempts };
            attempts.attempt(address, now).map_err(|retry_after| Refusal::RateLimit { retry_after })?;
        }
        admit.request.clone()?;
        let over = match self.permits.acquire(address) {
            Ok(()) => None,
            Err(refusal) if admit.claims && self.permits.claim(address) => Some(refusal),
            Err(refusal) => return Err(refusal),
        };
        if *self.phase.borrow() == ServerPhase::Draining {
            self.permits.release(address);
            return Err(Refusal::Draining { retry_after: self.config.drain.timeout });
        }
        Ok(over)
    }

    /// Selects the page's names before sorting them, so that a page of a long list needs only one
    /// pass over it.
    fn list(&self, list: &ListRooms) -> RoomPage {
        let after = |game: &&GameId| list.after.as_ref().is_none_or(|after| *game > after);
        let mut names: Vec<&GameId> = self.rooms.keys().filter(after).collect();
        let has_more = names.len() > list.limit;
        if has_more {
            names.select_nth_unstable(list.limit);
            names.truncate(list.limit);
        }
        names.sort_unstable();
        let rooms = names.into_iter().filter_map(|game| self.rooms.get_key_value(game));
        RoomPage { rooms: rooms.map(|(game, shard)| (game.clone(), *shard)).collect(), has_more }
    }

    fn count(&self) {
        self.metrics.connections.set(self.permits.connections() as i64);
        self.metrics.addresses.set(self.permits.addresses() as i64);
    }

    fn heartbeat(&self) {
        let sessions = self.metrics.sessions.get().max(0) as usize;
        let (connections, addresses) = (self.permits.connections(), self.permits.addresses());
        observe::log::heartbeat(&self.logger, connections, self.rooms.len(), sessions, addresses);
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(MAILBOX_CAPACITY);
        context.run_interval(self.config.log.heartbeat_interval, |registry, _| registry.heartbeat());
    }
}

impl Handler<Admit> for Registry {
    type Result = Result<Permit, Refusal>;

    fn handle(&mut self, admit: Admit, context: &mut Self::Context) -> Self::Result {
        let over = self.admit(&admit, Instant::now())?;
        self.metrics.connections_total.inc();
        self.count();
        Ok(Permit::new(admit.address, context.address().recipient(), over))
    }
}

impl Handler<AttachShards> for Registry {
    type Result = ();

    fn handle(&mut self, attach: AttachShards, _: &mut Self::Context) {
        self.shards = attach.0;
    }
}

impl Handler<PermitReleased> for Registry {
    type Result = ();

    fn handle(&mut self, released: PermitReleased, _: &mut Self::Context) {
        self.permits.release(released.address);
        self.count();
    }
}

impl Handler<ListRooms> for Registry {
    type Result = RoomPage;

    fn handle(&mut self, list: ListRooms, _: &mut Self::Context) -> Self::Result {
        self.list(&list)
    }
}

impl Handler<RoomOpened> for Registry {
    type Result = ();

    fn handle(&mut self, opened: RoomOpened, _: &mut Self::Context) {
        self.rooms.insert(opened.game, opened.shard);
    }
}

impl Handler<RoomClosed> for Registry {
    type Result = ();

    fn handle(&mut self, closed: RoomClosed, _: &mut Self::Context) {
        self.rooms.remove(&closed.game);
    }
}

impl Handler<Drain> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.phase.send_replace(ServerPhase::Draining);
        let slots = self.permits.connections() as u32;
        let spread = self.config.drain.spread;
        let order = DrainShard { taken: Arc::default(), slots, spread };
        let (shards, metrics) = (self.shards.clone(), self.metrics.clone());
        Box::pin(async move {
            loop {
                // Drains repeatedly, as a socket admitted before the signal may still be on its way
                // to its shard. One more round follows the last connection, to end sockets that
                // linger after it.
                let is_last = metrics.connections.get() == 0;
                let drains: Vec<_> = shards.iter().map(|shard| shard.send(order.clone())).collect();
                for drain in drains {
                    let _ = drain.await;
                }
                if is_last {
                    break;
                }
                tokio::time::sleep(DRAIN_INTERVAL).await;
            }
        })
    }
}
