//! Owns the metrics of each feed hub and each proxy, labelled by its configured name; never by text
//! that a client chose (A12).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::metrics::registered;
use crate::protocol::FeedState;

/// The series of all hubs and proxies, and the metrics of each.
pub(super) struct Upstreams {
    hub_clients: IntGaugeVec,
    hub_topics: IntGaugeVec,
    hub_upstream_connections: IntGaugeVec,
    hub_upstream_topics: IntGaugeVec,
    hub_reconnect_attempts: IntGaugeVec,
    hub_live: IntGaugeVec,
    hub_messages: IntCounterVec,
    hub_gaps: IntCounterVec,
    hub_unusable: IntCounterVec,
    hub_rejected: IntCounterVec,
    hub_evicted: IntCounterVec,
    hub_restarts: IntCounterVec,
    proxy_sessions: IntGaugeVec,
    proxy_sessions_total: IntCounterVec,
    proxy_bytes_in: IntCounterVec,
    proxy_bytes_out: IntCounterVec,
    proxy_budget_closes: IntCounterVec,
    proxy_history_bytes: IntGaugeVec,
    hubs: Mutex<BTreeMap<String, Arc<HubMetrics>>>,
    proxies: Mutex<BTreeMap<String, Arc<ProxyMetrics>>>,
}

/// One hub's counts.
pub(crate) struct HubMetrics {
    pub provider: String,
    /// Whether the configuration lets it run.
    pub enabled: bool,
    /// Connections that are subscribers, on all shards.
    pub clients: IntGauge,
    /// Distinct topics that the hub has: wanted, lingering, or kept by an event bus.
    pub topics: IntGauge,
    /// 0 or 1.
    pub upstream_connections: IntGauge,
    /// Topics that the upstream was asked for on its present connection.
    pub upstream_topics: IntGauge,
    /// Failed attempts since the last stable connection.
    pub reconnect_attempts: IntGauge,
    /// Values from the upstream, or published.
    pub messages: IntCounter,
    pub gaps: IntCounter,
    /// Frames of the upstream that cannot be parsed, and items that no rule of the description
    /// matches.
    pub unusable: IntCounter,
    /// Topics that the upstream rejected.
    pub rejected: IntCounter,
    /// Topics that never had a value and made room for others.
    pub evicted: IntCounter,
    /// How often the hub ended abnormally and was started again.
    pub restarts: IntCounter,
    live: IntGauge,
    state: AtomicU8,
    refused: AtomicBool,
    mute: AtomicU32,
    /// Unix ms; 0: never.
    last_message: AtomicU64,
}

/// One proxy's counts.
pub(crate) struct ProxyMetrics {
    /// Whether the configuration lets it run.
    pub enabled: bool,
    /// Upstream connections that are open or being opened.
    pub sessions: IntGauge,
    pub sessions_total: IntCounter,
    /// From clients to the upstream: bytes of messages.
    pub bytes_in: IntCounter,
    /// From the upstream to clients: bytes of messages.
    pub bytes_out: IntCounter,
    /// X3.
    pub budget_closes: IntCounter,
    /// Frames that are kept for clients that may come back; up to 32 KiB a session behind.
    pub history_bytes: IntGauge,
}

impl Upstreams {
    pub(super) fn new(registry: &Registry) -> Self {
        let gauges = |label, name, help| registered(registry, IntGaugeVec::new(Opts::new(name, help), &[label]));
        let counters = |label, name, help| registered(registry, IntCounterVec::new(Opts::new(name, help), &[label]));
        Self {
            hub_clients: gauges("hub", "innkeeper_hub_clients", "Connections that are subscribers of a hub."),
            hub_topics: gauges("hub", "innkeeper_hub_topics", "Distinct topics of a hub."),
            hub_upstream_connections: gauges("hub", "innkeeper_hub_upstream_connections", "Upstream connections."),
            hub_upstream_topics: gauges("hub", "innkeeper_hub_upstream_topics", "Topics the upstream was asked for."),
            hub_reconnect_attempts: gauges(
                "hub",
                "innkeeper_hub_reconnect_attempts",
                "Attempts to reach the upstream since it was last stable.",
            ),
            hub_live: gauges("hub", "innkeeper_hub_live", "1 while the hub's feed is live."),
            hub_messages: counters("hub", "innkeeper_hub_messages_total", "Values from the upstream, or published."),
            hub_gaps: counters("hub", "innkeeper_hub_gaps_total", "Times that values may have been missed (H4)."),
            hub_unusable: counters("hub", "innkeeper_hub_unusable_total", "Frames and items of no known kind."),
            hub_rejected: counters("hub", "innkeeper_hub_rejected_total", "Topics that the upstream rejected."),
            hub_evicted: counters("hub", "innkeeper_hub_evicted_total", "Topics without a value that made room."),
            hub_restarts: counters("hub", "innkeeper_hub_restarts_total", "Hubs started again after a failure."),
            proxy_sessions: gauges("proxy", "innkeeper_proxy_sessions", "Upstream connections of a proxy."),
            proxy_sessions_total: counters("proxy", "innkeeper_proxy_sessions_total", "Upstream connections opened."),
            proxy_bytes_in: counters("proxy", "innkeeper_proxy_bytes_in_total", "Bytes relayed to the upstream."),
            proxy_bytes_out: counters("proxy", "innkeeper_proxy_bytes_out_total", "Bytes relayed to clients."),
            proxy_budget_closes: counters(
                "proxy",
                "innkeeper_proxy_budget_closes_total",
                "Sessions ended because a budget was reached (X3).",
            ),
            proxy_history_bytes: gauges(
                "proxy",
                "innkeeper_proxy_history_bytes",
                "Bytes of frames kept for clients that may come back.",
            ),
            hubs: Mutex::default(),
            proxies: Mutex::default(),
        }
    }

    pub(super) fn hub(&self, id: &str, provider: &str, enabled: bool) -> Arc<HubMetrics> {
        let label = &[id];
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let hub = HubMetrics {
                provider: provider.to_owned(),
                enabled,
                clients: self.hub_clients.with_label_values(label),
                topics: self.hub_topics.with_label_values(label),
                upstream_connections: self.hub_upstream_connections.with_label_values(label),
                upstream_topics: self.hub_upstream_topics.with_label_values(label),
                reconnect_attempts: self.hub_reconnect_attempts.with_label_values(label),
                messages: self.hub_messages.with_label_values(label),
                gaps: self.hub_gaps.with_label_values(label),
                unusable: self.hub_unusable.with_label_values(label),
                rejected: self.hub_rejected.with_label_values(label),
                evicted: self.hub_evicted.with_label_values(label),
                restarts: self.hub_restarts.with_label_values(label),
                live: self.hub_live.with_label_values(label),
                state: AtomicU8::new(0),
                refused: AtomicBool::new(false),
                mute: AtomicU32::new(0),
                last_message: AtomicU64::new(0),
            };
            hub.set_state(FeedState::Disconnected, 0, false);
            Arc::new(hub)
        };
        hubs.entry(id.to_owned()).or_insert_with(new).clone()
    }

    pub(super) fn proxy(&self, id: &str, enabled: bool) -> Arc<ProxyMetrics> {
        let label = &[id];
        let mut proxies = self.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Arc::new(ProxyMetrics {
                enabled,
                sessions: self.proxy_sessions.with_label_values(label),
                sessions_total: self.proxy_sessions_total.with_label_values(label),
                bytes_in: self.proxy_bytes_in.with_label_values(label),
                bytes_out: self.proxy_bytes_out.with_label_values(label),
                budget_closes: self.proxy_budget_closes.with_label_values(label),
                history_bytes: self.proxy_history_bytes.with_label_values(label),
            })
        };
        proxies.entry(id.to_owned()).or_insert_with(new).clone()
    }

    /// By name; the server's own, whose names begin with `_`, are no feeds.
    pub(super) fn hubs(&self) -> BTreeMap<String, Arc<HubMetrics>> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hubs.retain(|id, _| !id.starts_with('_'));
        hubs
    }

    /// By name.
    pub(super) fn proxies(&self) -> BTreeMap<String, Arc<ProxyMetrics>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl HubMetrics {
    /// Sets the feed's state: `attempts` as in H3, and `refused` if the upstream refused
    /// permanently.
    pub(crate) fn set_state(&self, state: FeedState, attempts: u32, refused: bool) {
        self.state.store(state as u8, Relaxed);
        self.live.set(i64::from(state == FeedState::Live));
        self.reconnect_attempts.set(attempts.into());
        self.refused.store(refused, Relaxed);
    }

    pub(crate) fn state(&self) -> FeedState {
        let state = self.state.load(Relaxed);
        FeedState::ALL.into_iter().find(|known| *known as u8 == state).unwrap_or(FeedState::Disconnected)
    }

    /// Returns true if the upstream refused in a way that a retry soon cannot fix.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// How many connections in a row sent nothing although topics were subscribed (H8).
    pub(crate) fn set_mute(&self, connections: u32) {
        self.mute.store(connections, Relaxed);
    }

    pub(crate) fn mute(&self) -> u32 {
        self.mute.load(Relaxed)
    }

    /// Counts values that arrived at this time.
    pub(crate) fn count_messages(&self, messages: u64, unix_ms: u64) {
        self.messages.inc_by(messages);
        self.last_message.fetch_max(unix_ms, Relaxed);
    }

    /// Since the last value; `None` before the first.
    pub(crate) fn last_message_age_ms(&self, unix_ms: u64) -> Option<u64> {
        let last = self.last_message.load(Relaxed);
        (last > 0).then(|| unix_ms.saturating_sub(last))
    }
}
