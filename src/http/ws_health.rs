//! Owns `/api/ws-health` (H7): the state of the feed hubs, and whether an operator should be
//! alerted.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde::Serialize;

use super::{
    answer::{fresh, timestamp},
    routes::Site,
};
use crate::{clock::Now, observe::metrics::HubMetrics, protocol::FeedState};

/// A feed with subscribers is unhealthy from this many attempts to reconnect on.
const MAX_ATTEMPTS: i64 = 3;

/// Connections in a row that brought no value; one alone may be chance.
const MAX_MUTE: u32 = 2;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health {
    healthy: bool,
    timestamp: String,
    /// By hub, including those that are off.
    metrics: BTreeMap<String, FeedHealth>,
    limits: HealthLimits,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FeedHealth {
    total_clients: i64,
    topics: i64,
    upstream_connections: i64,
    /// One of the four states of H9.
    connection_state: &'static str,
    /// The feed's state (H3).
    feed_state: &'static str,
    reconnect_attempts: i64,
    /// `null` before the first message.
    last_message_age_ms: Option<u64>,
    enabled: bool,
    provider: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HealthLimits {
    max_upstream_connections: usize,
    max_clients: usize,
}

impl FeedHealth {
    fn read(metrics: &HubMetrics, unix_ms: u64) -> Self {
        Self {
            total_clients: metrics.clients.get(),
            topics: metrics.topics.get(),
            upstream_connections: metrics.upstream_connections.get(),
            connection_state: connection_state(metrics),
            feed_state: metrics.state().name(),
            reconnect_attempts: metrics.reconnect_attempts.get(),
            last_message_age_ms: metrics.last_message_age_ms(unix_ms),
            enabled: metrics.enabled,
            provider: metrics.provider.clone(),
        }
    }
}

/// H9: the states that common monitors understand.
fn connection_state(metrics: &HubMetrics) -> &'static str {
    match metrics.state() {
        FeedState::Live | FeedState::Stale => "connected",
        FeedState::Connecting => "connecting",
        FeedState::Disconnected => "disconnected",
        FeedState::Down => "error",
    }
}

/// Returns false if subscribers have waited for longer than a reconnection takes.
fn is_healthy(metrics: &HubMetrics) -> bool {
    // Also counts during an attempt: otherwise a monitor that asks at that moment would see a
    // recovery.
    let is_down = matches!(metrics.state(), FeedState::Down | FeedState::Connecting)
        && metrics.reconnect_attempts.get() >= MAX_ATTEMPTS;
    let is_mute = metrics.mute() >= MAX_MUTE;
    metrics.clients.get() == 0 || !(is_down || is_mute || metrics.is_refused())
}

pub(super) async fn ws_health(site: web::Data<Site>) -> HttpResponse {
    let config = &site.admission.config;
    let (hubs, unix_ms) = (site.admission.metrics.hubs(), Now::read().unix_ms);
    let health = Health {
        healthy: hubs.values().all(|metrics| is_healthy(metrics)),
        timestamp: timestamp(),
        metrics: hubs.iter().map(|(id, metrics)| (id.clone(), FeedHealth::read(metrics, unix_ms))).collect(),
        limits: HealthLimits {
            max_upstream_connections: config.upstream.max_connections,
            max_clients: config.gate.max_connections,
        },
    };
    let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    fresh(status, &health)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Metrics;

    #[test]
    fn h9_each_state_of_a_feed_is_one_of_four_states_of_a_connection() {
        let hub = Metrics::new("test").hub("options", "massive-options", true);
        let of = |state| {
            hub.set_state(state, 0, false);
            let feed = FeedHealth::read(&hub, 0);
            (feed.connection_state, feed.feed_state)
        };
        assert_eq!(of(FeedState::Live), ("connected", "live"));
        assert_eq!(of(FeedState::Stale), ("connected", "stale"));
        assert_eq!(of(FeedState::Connecting), ("connecting", "connecting"));
        assert_eq!(of(FeedState::Disconnected), ("disconnected", "disconnected"));
        assert_eq!(of(FeedState::Down), ("error", "down"));
    }

    #[test]
    fn h7_a_feed_is_unhealthy_when_it_keeps_somebody_waiting_and_not_before() {
        let metrics = Metrics::new("test");
        let hub = metrics.hub("options", "massive-options", true);
        let is_healthy = |clients, state, attempts, refused| {
            hub.clients.set(clients);
            hub.set_state(state, attempts, refused);
            is_healthy(&hub)
        };
        assert!(is_healthy(0, FeedState::Disconnected, 0, false));
        assert!(is_healthy(1, FeedState::Connecting, 2, false));
        assert!(!is_healthy(1, FeedState::Connecting, 9, false), "it has not come back yet");
        assert!(is_healthy(1, FeedState::Stale, 0, false));
        assert!(is_healthy(1, FeedState::Down, 2, false));
        assert!(!is_healthy(1, FeedState::Down, 3, false));
        assert!(is_healthy(0, FeedState::Down, 3, false), "nobody waits");
        assert!(!is_healthy(1, FeedState::Down, 1, true), "the upstream refused");
        hub.set_mute(1);
        assert!(is_healthy(1, FeedState::Live, 1, false));
        hub.set_mute(2);
        assert!(!is_healthy(1, FeedState::Live, 1, false), "it answers and says nothing (H8)");
        assert!(is_healthy(0, FeedState::Live, 1, false), "nobody waits");
    }
}
