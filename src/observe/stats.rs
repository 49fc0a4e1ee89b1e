//! Owns `Stats`: the metrics as one JSON object, the value of the topic `stats` of the hub
//! `_server`.

use std::{collections::BTreeMap, time::Duration};

use prometheus::{Histogram, core::Collector as _};
use serde::Serialize;

use super::{
    metrics::{HubMetrics, Metrics, ProxyMetrics, REFUSAL_REASONS},
    process::Usage,
};
use crate::protocol::Cause;

/// All metrics at one moment. Totals only grow, so two readings give the rates and percentiles in
/// between. Shards add their counts once a second.
#[derive(Debug, Serialize)]
pub(crate) struct Stats {
    /// Unix ms.
    pub time: u64,
    pub uptime_ms: u64,
    pub version: &'static str,
    pub connections: i64,
    pub sessions: i64,
    pub rooms: i64,
    pub addresses: i64,
    pub events_in: u64,
    pub events_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub latency: Latency,
    /// `None`, like the two below it, where there is no /proc.
    pub memory_bytes: Option<u64>,
    pub cpu_seconds: Option<f64>,
    pub open_files: Option<u64>,
    pub outbox_bytes: i64,
    pub outbox_frames: i64,
    /// `None`: all rooms live in memory.
    pub store: Option<StoreStats>,
    /// Since the start, by `protocol::Refusal::code`.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Since the start, by `Cause::name`.
    pub disconnects: BTreeMap<&'static str, u64>,
    /// By name, those included that are off.
    pub hubs: Vec<HubStats>,
    pub proxies: Vec<ProxyStats>,
}

/// One feed hub.
#[derive(Debug, Serialize)]
pub(crate) struct HubStats {
    pub hub: String,
    pub provider: String,
    pub enabled: bool,
    pub state: &'static str,
    pub clients: i64,
    pub topics: i64,
    pub upstream_connections: i64,
    pub reconnect_attempts: i64,
    /// `None` before the first.
    pub last_message_age_ms: Option<u64>,
    /// Since the start.
    pub messages: u64,
    pub gaps: u64,
}

/// One proxy.
#[derive(Debug, Serialize)]
pub(crate) struct ProxyStats {
    pub proxy: String,
    pub enabled: bool,
    pub sessions: i64,
    /// Since the start, as the next three.
    pub sessions_total: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub budget_closes: u64,
}

/// From an event's acceptance to its last byte being handed to the kernel.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub count: u64,
    /// Upper bound in seconds, `None` for the last, and how many took at most so long; cumulative.
    pub buckets: Vec<(Option<f64>, u64)>,
}

#[derive(Debug, Serialize)]
pub(crate) struct StoreStats {
    pub failing: bool,
    pub groups: u64,
    pub batches: u64,
    pub bytes: u64,
}

impl Stats {
    /// Reads /proc, see `Usage::read`.
    pub(crate) fn read(metrics: &Metrics, version: &'static str, time: u64, uptime: Duration, has_store: bool) -> Self {
        let usage = Usage::read();
        let refusals = REFUSAL_REASONS.map(|reason| (reason, metrics.refusals.with_label_values(&[reason]).get()));
        let disconnects =
            Cause::ALL.map(|cause| (cause.name(), metrics.disconnects.with_label_values(&[cause.name()]).get()));
        Self {
            time,
            uptime_ms: uptime.as_millis() as u64,
            version,
            connections: metrics.connections.get(),
            sessions: metrics.sessions.get(),
            rooms: metrics.rooms.get(),
            addresses: metrics.addresses.get(),
            events_in: metrics.events_in.get(),
            events_out: metrics.events_out.get(),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            latency: latency(&metrics.event_to_wire),
            memory_bytes: usage.resident_bytes.map(|bytes| bytes as u64),
            cpu_seconds: usage.cpu_seconds,
            open_files: usage.open_fds.map(|files| files as u64),
            outbox_bytes: metrics.outbox_bytes.get(),
            outbox_frames: metrics.outbox_frames.get(),
            store: has_store.then(|| StoreStats {
                failing: metrics.store_failing.get() != 0,
                groups: metrics.store_group.get_sample_count(),
                batches: metrics.store_batches.get(),
                bytes: metrics.store_bytes.get(),
            }),
            refusals: refusals.into(),
            disconnects: disconnects.into(),
            hubs: metrics.hubs().into_iter().map(|(hub, metrics)| HubStats::read(hub, &metrics, time)).collect(),
            proxies: metrics.proxies().into_iter().map(|(proxy, metrics)| ProxyStats::read(proxy, &metrics)).collect(),
        }
    }
}

impl HubStats {
    /// `time` in unix ms.
    pub(crate) fn read(hub: String, metrics: &HubMetrics, time: u64) -> Self {
        Self {
            hub,
            provider: metrics.provider.clone(),
            enabled: metrics.enabled,
            state: metrics.state().name(),
            clients: metrics.clients.get(),
            topics: metrics.topics.get(),
            upstream_connections: metrics.upstream_connections.get(),
            reconnect_attempts: metrics.reconnect_attempts.get(),
            last_message_age_ms: metrics.last_message_age_ms(time),
            messages: metrics.messages.get(),
            gaps: metrics.gaps.get(),
        }
    }
}

impl ProxyStats {
    fn read(proxy: String, metrics: &ProxyMetrics) -> Self {
        Self {
            proxy,
            enabled: metrics.enabled,
            sessions: metrics.sessions.get(),
            sessions_total: metrics.sessions_total.get(),
            bytes_in: metrics.bytes_in.get(),
            bytes_out: metrics.bytes_out.get(),
            budget_closes: metrics.budget_closes.get(),
        }
    }
}

fn latency(histogram: &Histogram) -> Latency {
    // One histogram, so one family with one metric.
    let families = histogram.collect();
    let shown = families.iter().flat_map(|family| family.get_metric()).map(|metric| metric.get_histogram());
    let mut latency = Latency { count: 0, buckets: Vec::new() };
    for histogram in shown {
        latency.count = histogram.get_sample_count();
        let bounded = histogram.get_bucket().iter().map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        latency.buckets.extend(bounded.map(|(bound, count)| (Some(bound), count)));
        latency.buckets.push((None, latency.count));
    }
    latency
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::FeedState;

    #[test]
    fn what_was_counted_is_shown_and_nothing_else() {
        let metrics = Metrics::new("test");
        metrics.connections.set(3);
        metrics.refused("rate_limit");
        metrics.disconnected(Cause::TooSlow);
        metrics.store_group(2, 100, Duration::from_millis(1));
        let shard = metrics.shard();
        for latency in [Duration::from_micros(60), Duration::from_micros(70), Duration::from_secs(9)] {
            shard.event_to_wire(latency);
        }
        shard.events_out(5);
        shard.publish();
        let read = |has_store| {
            let stats = Stats::read(&metrics, "1.2.3", 1000, Duration::from_secs(2), has_store);
            serde_json::to_value(stats).expect("JSON")
        };
        let stats: Value = read(true);
        assert_eq!(
            (&stats["time"], &stats["uptime_ms"], &stats["version"]),
            (&json!(1000), &json!(2000), &json!("1.2.3"))
        );
        assert_eq!(
            (&stats["connections"], &stats["events_out"], &stats["events_in"]),
            (&json!(3), &json!(5), &json!(0))
        );
        assert_eq!(stats["refusals"]["rate_limit"], 1);
        assert_eq!(stats["disconnects"]["too_slow"], 1);
        assert_eq!(stats["disconnects"].as_object().map(serde_json::Map::len), Some(Cause::ALL.len()));
        assert_eq!(stats["store"], json!({"failing": false, "groups": 1, "batches": 2, "bytes": 100}));
        let buckets = stats["latency"]["buckets"].as_array().expect("buckets");
        assert_eq!(stats["latency"]["count"], 3);
        assert_eq!(buckets.first(), Some(&json!([50e-6, 0])));
        assert_eq!(buckets.get(1), Some(&json!([100e-6, 2])));
        assert_eq!(buckets.last(), Some(&json!([null, 3])));
        assert_eq!(read(false)["store"], Value::Null);
        assert_eq!((&stats["hubs"], &stats["proxies"]), (&json!([]), &json!([])));
    }

    #[test]
    fn hubs_and_proxies_are_shown_by_name_as_they_are_also_when_they_are_off() {
        let metrics = Metrics::new("test");
        let hub = metrics.hub("options", "massive-options", true);
        metrics.hub("indices", "massive-indices", false);
        let proxy = metrics.proxy("openai", true);
        metrics.hub("options", "another", false).clients.inc();
        hub.topics.set(12);
        hub.upstream_connections.set(1);
        hub.set_state(FeedState::Stale, 2, false);
        hub.count_messages(3, 960);
        hub.gaps.inc();
        proxy.sessions.inc();
        proxy.sessions_total.inc_by(2);
        proxy.bytes_in.inc_by(5);
        proxy.bytes_out.inc_by(7);
        proxy.budget_closes.inc();
        let stats = Stats::read(&metrics, "1.2.3", 1000, Duration::from_secs(2), false);
        let stats = serde_json::to_value(stats).expect("JSON");
        let off = json!({"hub": "indices", "provider": "massive-indices", "enabled": false, "state": "disconnected",
            "clients": 0, "topics": 0, "upstream_connections": 0, "reconnect_attempts": 0, "last_message_age_ms": null,
            "messages": 0, "gaps": 0});
        let on = json!({"hub": "options", "provider": "massive-options", "enabled": true, "state": "stale",
            "clients": 1, "topics": 12, "upstream_connections": 1, "reconnect_attempts": 2, "last_message_age_ms": 40,
            "messages": 3, "gaps": 1});
        assert_eq!(stats["hubs"], json!([off, on]));
        let openai = json!({"proxy": "openai", "enabled": true, "sessions": 1, "sessions_total": 2, "bytes_in": 5,
            "bytes_out": 7, "budget_closes": 1});
        assert_eq!(stats["proxies"], json!([openai]));
        let text = metrics.encode();
        for line in [
            "innkeeper_hub_clients{hub=\"options\"} 1",
            "innkeeper_hub_live{hub=\"options\"} 0",
            "innkeeper_hub_messages_total{hub=\"indices\"} 0",
            "innkeeper_proxy_bytes_out_total{proxy=\"openai\"} 7",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_itself_is_measured() {
        let stats = Stats::read(&Metrics::new("test"), "test", 0, Duration::ZERO, false);
        assert!(stats.memory_bytes > Some(1_000_000) && stats.open_files > Some(2) && stats.cpu_seconds.is_some());
    }
}
