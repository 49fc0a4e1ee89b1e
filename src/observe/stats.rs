//! Owns `Stats`: the metrics as one JSON object, the value of the topic `stats` of the hub `_server`.
//! Called by that hub once a second while somebody looks.

use std::{collections::BTreeMap, time::Duration};

use prometheus::{Histogram, core::Collector as _};
use serde::Serialize;

use super::{
    metrics::{Metrics, REFUSAL_REASONS},
    process::Usage,
};
use crate::protocol::Cause;

/// Everything at one moment. Totals only grow: whoever reads two of them knows the rates and percentiles in between. Shards
/// add what they count once a second.
#[derive(Debug, Serialize)]
pub struct Stats {
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
}

/// From an event's acceptance to its last byte being handed to the kernel.
#[derive(Debug, Serialize)]
pub struct Latency {
    pub count: u64,
    /// Upper bound in seconds, `None` for the last, and how many took at most so long; cumulative.
    pub buckets: Vec<(Option<f64>, u64)>,
}

#[derive(Debug, Serialize)]
pub struct StoreStats {
    pub failing: bool,
    pub groups: u64,
    pub batches: u64,
    pub bytes: u64,
}

impl Stats {
    /// Reads /proc, see [`Usage::read`].
    pub fn read(metrics: &Metrics, version: &'static str, time: u64, uptime: Duration, has_store: bool) -> Self {
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
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_itself_is_measured() {
        let stats = Stats::read(&Metrics::new("test"), "test", 0, Duration::ZERO, false);
        assert!(stats.memory_bytes > Some(1_000_000) && stats.open_files > Some(2) && stats.cpu_seconds.is_some());
    }
}
