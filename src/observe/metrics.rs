//! Owns the metrics of `/metrics` in their own registry; no label ever holds text that a client
//! chose (A12). Shard threads count in `ShardMetrics`, without touching shared memory.

use std::{cell::Cell, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder, core::Collector,
    local::LocalHistogram,
};

pub(crate) use super::upstreams::{HubMetrics, ProxyMetrics};
use super::{log, process, upstreams::Upstreams};
use crate::protocol::Cause;

/// Every value of the label `reason`: the codes of `protocol::Refusal`, the two causes of A7, and
/// `socket_limit`.
pub(crate) const REFUSAL_REASONS: [&str; 13] = [
    "disabled",
    "invalid_origin",
    "rate_limit",
    "bad_path",
    "upgrade_required",
    "bad_handshake",
    "connection_limit",
    "socket_limit",
    "draining",
    "auth_timeout",
    "auth_failed",
    "max_rooms",
    "max_rooms_per_address",
];

/// Upper bounds in seconds, 50 µs to 1 s.
const EVENT_TO_WIRE_BUCKETS: [f64; 14] =
    [50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1.0];

/// The server's metrics. One per process, shared; gauges are set or moved by their owner, totals
/// only grow.
pub(crate) struct Metrics {
    registry: Registry,
    /// Open sockets.
    pub connections: IntGauge,
    /// Sockets that are no connection yet, or never will be.
    pub http_sockets: IntGauge,
    /// Seats, connected or away.
    pub sessions: IntGauge,
    pub rooms: IntGauge,
    /// Distinct client addresses that hold a connection.
    pub addresses: IntGauge,
    /// Connections accepted since the start.
    pub connections_total: IntCounter,
    /// Rooms that ended abnormally and were started again.
    pub room_restarts_total: IntCounter,
    /// What the histories of all rooms take.
    pub history_bytes: IntGauge,
    /// Times that a room's history was cut because all together took too much (S14).
    pub histories_cut: IntCounter,
    /// Patches of room logics that were not appended.
    pub logic_patches_refused: IntCounter,
    /// 1 while the store does not take writes (D5).
    pub store_failing: IntGauge,
    pub(super) store_batches: IntCounter,
    pub(super) store_bytes: IntCounter,
    pub(super) store_group: Histogram,
    pub(super) events_in: IntCounter,
    pub(super) events_out: IntCounter,
    pub(super) bytes_in: IntCounter,
    pub(super) bytes_out: IntCounter,
    pub(super) outbox_bytes: IntGauge,
    pub(super) outbox_frames: IntGauge,
    pub(super) refusals: IntCounterVec,
    pub(super) disconnects: IntCounterVec,
    log_lines_dropped: IntCounter,
    pub(super) event_to_wire: Histogram,
    upstreams: Upstreams,
}

impl Metrics {
    /// All series exist at zero from the start, so that a rate over the first event is seen.
    /// `version` labels `innkeeper_build_info`.
    pub(crate) fn new(version: &str) -> Arc<Self> {
        let registry = Registry::new();
        let gauge = |name, help| registered(&registry, IntGauge::new(name, help));
        let counter = |name, help| registered(&registry, IntCounter::new(name, help));
        let vec = |name, help, label| registered(&registry, IntCounterVec::new(Opts::new(name, help), &[label]));
        let buckets = EVENT_TO_WIRE_BUCKETS.to_vec();
        let latency = HistogramOpts::new(
            "innkeeper_event_to_wire_seconds",
            "Time from an event's acceptance to its last byte being handed to the kernel.",
        );
        let store_group = HistogramOpts::new(
            "innkeeper_store_group_seconds",
            "Time to write one group of rooms' batches to the store; the count is the number of groups.",
        );
        let build = Opts::new("innkeeper_build_info", "Always 1; the label names the version.");
        registered(&registry, IntGauge::with_opts(build.const_label("version", version))).set(1);
        let metrics = Self {
            connections: gauge("innkeeper_connections", "Open client connections."),
            http_sockets: gauge("innkeeper_http_sockets", "Sockets that speak plain HTTP or are in their handshake."),
            sessions: gauge("innkeeper_sessions", "Seats in rooms, connected or away."),
            rooms: gauge("innkeeper_rooms", "Rooms."),
            addresses: gauge("innkeeper_addresses", "Distinct client addresses holding a connection."),
            connections_total: counter("innkeeper_connections_total", "Client connections accepted."),
            room_restarts_total: counter("innkeeper_room_restarts_total", "Rooms restarted after a failure."),
            history_bytes: gauge("innkeeper_history_bytes", "Bytes that the histories of all rooms take."),
            histories_cut: counter("innkeeper_histories_cut_total", "Histories cut for HISTORY_TOTAL_BYTES."),
            logic_patches_refused: counter(
                "innkeeper_logic_patches_refused_total",
                "Patches of room logics that were refused, most for MAX_STATE_BYTES.",
            ),
            store_failing: gauge("innkeeper_store_failing", "1 while the store does not take writes."),
            store_batches: counter("innkeeper_store_batches_total", "Batches of rooms written to the store."),
            store_bytes: counter("innkeeper_store_bytes_total", "Bytes of those batches."),
            store_group: registered(&registry, Histogram::with_opts(store_group.buckets(buckets.clone()))),
            events_in: counter("innkeeper_events_in_total", "Client frames accepted."),
            events_out: counter("innkeeper_events_out_total", "Frames queued for clients."),
            bytes_in: counter("innkeeper_bytes_in_total", "Bytes read from client sockets."),
            bytes_out: counter("innkeeper_bytes_out_total", "Bytes written to client sockets."),
            outbox_bytes: gauge("innkeeper_outbox_bytes", "Bytes queued for clients and not yet written."),
            outbox_frames: gauge("innkeeper_outbox_frames", "Frames queued for clients and not yet written."),
            refusals: vec("innkeeper_refusals_total", "Connections refused at admission.", "reason"),
            disconnects: vec("innkeeper_disconnects_total", "Connections ended, by their one cause.", "cause"),
            log_lines_dropped: counter("innkeeper_log_lines_dropped_total", "Log lines lost to a slow stdout."),
            event_to_wire: registered(&registry, Histogram::with_opts(latency.buckets(buckets))),
            upstreams: Upstreams::new(&registry),
            registry,
        };
        for reason in REFUSAL_REASONS {
            metrics.refusals.with_label_values(&[reason]);
        }
        for cause in Cause::ALL {
            metrics.disconnects.with_label_values(&[cause.name()]);
        }
        Arc::new(metrics)
    }

    /// Counts a refusal; the reason is `Refusal::code()`, or the name of the cause for A7.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.with_label_values(&[reason]).inc();
    }

    /// Counts the end of a connection; call it exactly once per connection.
    pub(crate) fn disconnected(&self, cause: Cause) {
        self.disconnects.with_label_values(&[cause.name()]).inc();
    }

    /// Counts a group that is stored.
    pub(crate) fn store_group(&self, batches: usize, bytes: usize, took: Duration) {
        self.store_batches.inc_by(batches as u64);
        self.store_bytes.inc_by(bytes as u64);
        self.store_group.observe(took.as_secs_f64());
    }

    /// The counters of one feed hub, the same at every call: `id` is its configured name, `enabled`
    /// whether it may run.
    pub(crate) fn hub(&self, id: &str, provider: &str, enabled: bool) -> Arc<HubMetrics> {
        self.upstreams.hub(id, provider, enabled)
    }

    /// The counters of one proxy, as [`Metrics::hub`].
    pub(crate) fn proxy(&self, id: &str, enabled: bool) -> Arc<ProxyMetrics> {
        self.upstreams.proxy(id, enabled)
    }

    /// All hubs by name, those included that are off.
    pub(crate) fn hubs(&self) -> BTreeMap<String, Arc<HubMetrics>> {
        self.upstreams.hubs()
    }

    /// All proxies by name, those included that are off.
    pub(crate) fn proxies(&self) -> BTreeMap<String, Arc<ProxyMetrics>> {
        self.upstreams.proxies()
    }

    /// The counters of one shard thread.
    pub(crate) fn shard(self: &Arc<Self>) -> ShardMetrics {
        ShardMetrics {
            events_in: Cell::new(0),
            events_out: Cell::new(0),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            outbox_bytes: Cell::new(0),
            outbox_frames: Cell::new(0),
            event_to_wire: self.event_to_wire.local(),
            shared: Arc::clone(self),
        }
    }

    /// The Prometheus text format, version 0.0.4. Reads /proc: a few milliseconds with many
    /// thousand sockets.
    pub(crate) fn encode(&self) -> String {
        // Two scrapes at once may both add; the difference is then counted twice, which a loss
        // count survives.
        self.log_lines_dropped.inc_by(log::dropped_lines().saturating_sub(self.log_lines_dropped.get()));
        let mut families = self.registry.gather();
        families.extend(process::families());
        // Fails only on a family without metrics, which gather() leaves out.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

/// Fails only on a name that is invalid or taken; the names above are constant and a test builds
/// them all.
pub(super) fn registered<C: Collector + Clone + 'static, E: fmt::Debug>(
    registry: &Registry,
    metric: Result<C, E>,
) -> C {
    let metric = metric.expect("a metric's name and labels are constant and valid");
    registry.register(Box::new(metric.clone())).expect("a metric's name is used once");
    metric
}

/// What one shard thread counted since its last `publish`; plain cells, so counting costs an add.
/// Not `Sync`. The shard calls `publish` about once a second; dropping publishes too.
pub(crate) struct ShardMetrics {
    shared: Arc<Metrics>,
    events_in: Cell<u64>,
    events_out: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    outbox_bytes: Cell<i64>,
    outbox_frames: Cell<i64>,
    event_to_wire: LocalHistogram,
}

impl ShardMetrics {
    /// One client frame was accepted.
    pub(crate) fn event_in(&self) {
        add(&self.events_in, 1);
    }

    /// `frames` were queued for clients.
    pub(crate) fn events_out(&self, frames: u64) {
        add(&self.events_out, frames);
    }

    pub(crate) fn bytes_in(&self, bytes: u64) {
        add(&self.bytes_in, bytes);
    }

    pub(crate) fn bytes_out(&self, bytes: u64) {
        add(&self.bytes_out, bytes);
    }

    /// Outboxes grew by this much; negative when they were written or thrown away.
    pub(crate) fn queued(&self, bytes: i64, frames: i64) {
        self.outbox_bytes.set(self.outbox_bytes.get().wrapping_add(bytes));
        self.outbox_frames.set(self.outbox_frames.get().wrapping_add(frames));
    }

    pub(crate) fn event_to_wire(&self, latency: Duration) {
        self.event_to_wire.observe(latency.as_secs_f64());
    }

    /// Adds what was counted here to the shared metrics and begins again at zero.
    pub(crate) fn publish(&self) {
        self.shared.events_in.inc_by(self.events_in.take());
        self.shared.events_out.inc_by(self.events_out.take());
        self.shared.bytes_in.inc_by(self.bytes_in.take());
        self.shared.bytes_out.inc_by(self.bytes_out.take());
        self.shared.outbox_bytes.add(self.outbox_bytes.take());
        self.shared.outbox_frames.add(self.outbox_frames.take());
        self.event_to_wire.flush();
    }
}

impl Drop for ShardMetrics {
    fn drop(&mut self) {
        self.publish();
    }
}

fn add(cell: &Cell<u64>, n: u64) {
    cell.set(cell.get().wrapping_add(n));
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
