//! Owns the way from the settings to running hubs: the server's own, event buses, and those with an
//! upstream.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use slog::{Logger, info, warn};
use tokio::sync::Semaphore;

use super::StartError;
use crate::{
    config::{
        Config, Durability, HubConfig,
        feeds::{TopicAccess, TopicPattern},
    },
    hub::{BusHome, HubHandle, HubPlan, ServerFeed, SourceFactory, UpstreamPlan},
    observe::metrics::Metrics,
    protocol::HubId,
    registry::Hubs,
    store::Journal,
    ws::Dialer,
};

/// Starts all hubs that are not off, each on a thread of its own: reading /proc for the server's
/// feed takes a while with many sockets, and a busy upstream must not delay other hubs.
pub(super) fn start_hubs(
    config: &Config,
    metrics: &Arc<Metrics>,
    logger: &Logger,
    dialer: &Dialer,
    journal: Option<&Journal>,
    server_feed: impl Fn() -> ServerFeed + Send + Sync + 'static,
) -> Result<Hubs, StartError> {
    let permits = Arc::new(Semaphore::new(config.upstream.max_connections));
    let connections = config.gate.max_connections_per_ip;
    let start = |id: &HubId, config: HubConfig, origin| {
        let metrics = metrics.hub(id.as_str(), &config.provider, true);
        let max_topics_per_address = topics_per_address(&config, connections);
        let logger = logger.clone();
        HubHandle::start(HubPlan { id: id.clone(), config, origin, max_topics_per_address, metrics, logger })
    };
    let durability = config.store.default;
    let kept = journal.filter(|_| durability != Durability::Memory).cloned();
    let buses = BusHome::new(kept, durability == Durability::Sync);
    let server_hub = HubId::server();
    let polled = SourceFactory::Polled(Box::new(move || Box::new(server_feed())));
    let mut hubs = BTreeMap::from([(server_hub.clone(), Ok(start(&server_hub, server_hub_config(), polled)))]);
    let mut off_hubs = BTreeMap::<&str, Vec<&str>>::new();
    for config in &config.hubs {
        let id =
            HubId::parse(&config.id).map_err(|error| StartError::Config(format!("hub {:?}: {error}", config.id)))?;
        let hub = match (&config.off, &config.feed) {
            (Some(off), _) => {
                off_hubs.entry(off.as_str()).or_default().push(config.id.as_str());
                metrics.hub(id.as_str(), &config.provider, false);
                Err(off.clone())
            }
            (None, None) => Ok(start(&id, config.clone(), SourceFactory::Bus(buses.clone()))),
            (None, Some(feed)) => {
                let (feed, dialer, permits) = (Arc::new(feed.clone()), dialer.clone(), permits.clone());
                Ok(start(&id, config.clone(), SourceFactory::Upstream(UpstreamPlan { feed, dialer, permits })))
            }
        };
        if hubs.insert(id, hub).is_some() {
            return Err(StartError::Config(format!("hub {:?} is there twice", config.id)));
        }
    }
    // One line per reason: several hubs of one provider may lack the same key.
    for (reason, hubs) in off_hubs {
        let hubs = hubs.join(", ");
        info!(logger, "[WS {hubs}] off: {reason}");
    }
    let upstreams = config.hubs.iter().filter(|hub| hub.off.is_none() && hub.feed.is_some()).count();
    if upstreams > config.upstream.max_connections {
        warn!(logger, "there are more hubs than MAX_UPSTREAM_CONNECTIONS: some wait until others have nobody";
            "hubs" => upstreams, "connections" => config.upstream.max_connections);
    }
    Ok(Arc::new(hubs))
}

/// Half of what all connections that an address may hold could have, at most all topics of the hub:
/// where many people come from one address, an operator has raised MAX_CONNECTIONS_PER_IP.
fn topics_per_address(config: &HubConfig, connections: usize) -> usize {
    let half = config.max_topics_per_client.saturating_mul(connections) / 2;
    let most = config.max_topics_per_address.unwrap_or_else(|| half.max(config.max_topics_per_client));
    // Where an address may have all topics, the hub's own bound applies and is reported.
    if most < config.max_topics { most } else { usize::MAX }
}

/// Closes the connections to all upstreams (D4), at once and all together: to a provider that
/// counts them, the process that comes next is to be the only one. Resolves when they are closed.
pub(super) async fn stop_hubs(hubs: &Hubs) {
    let stop = |hub: &HubHandle| {
        let hub = hub.clone();
        actix_rt::spawn(async move { hub.stop().await })
    };
    let stopping: Vec<_> = hubs.values().flatten().map(stop).collect();
    for stopped in stopping {
        let _ = stopped.await;
    }
}

/// The configuration of the operators' feed `_server`.
fn server_hub_config() -> HubConfig {
    let topics = ServerFeed::TOPICS.map(|name| TopicPattern(name.to_owned())).to_vec();
    HubConfig {
        id: HubId::server().as_str().to_owned(),
        provider: "server".to_owned(),
        off: None,
        feed: None,
        max_topics: topics.len(),
        max_topics_per_client: topics.len(),
        max_topics_per_address: None,
        access: TopicAccess { subscribe: vec![("*".to_owned(), topics)], publish: Vec::new() },
        linger: Duration::ZERO,
        flush_interval: Duration::ZERO,
    }
}
