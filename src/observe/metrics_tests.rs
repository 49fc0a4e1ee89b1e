//! Owns the tests of `metrics`: what a scrape shows and when a shard's counts appear in it.

use super::*;
use crate::protocol::Refusal;

/// The value of one series, written as in the scrape.
fn value(metrics: &Metrics, series: &str) -> f64 {
    let text = metrics.encode();
    let line = text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {series} in\n{text}")).parse().unwrap()
}

#[test]
fn every_series_exists_at_zero_before_the_first_event() {
    let metrics = Metrics::new("1.2.3");
    for name in [
        "connections",
        "sessions",
        "rooms",
        "addresses",
        "events_in_total",
        "events_out_total",
        "bytes_in_total",
        "bytes_out_total",
        "connections_total",
        "room_restarts_total",
        "outbox_bytes",
        "outbox_frames",
        "event_to_wire_seconds_count",
        "event_to_wire_seconds_bucket{le=\"0.00005\"}",
        "event_to_wire_seconds_bucket{le=\"1\"}",
    ] {
        assert_eq!(value(&metrics, &format!("innkeeper_{name}")), 0.0, "{name}");
    }
    for reason in REFUSAL_REASONS {
        assert_eq!(value(&metrics, &format!("innkeeper_refusals_total{{reason=\"{reason}\"}}")), 0.0);
    }
    for cause in Cause::ALL {
        assert_eq!(value(&metrics, &format!("innkeeper_disconnects_total{{cause=\"{}\"}}", cause.name())), 0.0);
    }
    assert_eq!(value(&metrics, "innkeeper_build_info{version=\"1.2.3\"}"), 1.0);
    assert!(metrics.encode().contains("\n# TYPE innkeeper_log_lines_dropped_total counter\n"));
}

#[test]
fn every_refusal_of_the_protocol_has_its_series() {
    let second = Duration::from_secs(1);
    let refusals = [
        Refusal::Disabled("X"),
        Refusal::InvalidOrigin,
        Refusal::InvalidOrigins { retry_after: second },
        Refusal::RateLimit { retry_after: second },
        Refusal::BadPath,
        Refusal::UpgradeRequired,
        Refusal::BadHandshake("x"),
        Refusal::AddressLimit { max: 1, proxy: None },
        Refusal::ServerLimit(1),
        Refusal::Draining { retry_after: second },
    ];
    for refusal in &refusals {
        // A variant added to the protocol stops this from compiling: give it a reason above and an
        // entry here.
        match refusal {
            Refusal::Disabled(_) | Refusal::InvalidOrigin | Refusal::RateLimit { .. } | Refusal::BadPath => {}
            Refusal::UpgradeRequired | Refusal::BadHandshake(_) | Refusal::AddressLimit { .. } => {}
            Refusal::ServerLimit(_) | Refusal::Draining { .. } | Refusal::InvalidOrigins { .. } => {}
        }
        assert!(REFUSAL_REASONS.contains(&refusal.code()), "{}", refusal.code());
    }
    for cause in [Cause::AuthTimeout, Cause::AuthFailed] {
        assert!(REFUSAL_REASONS.contains(&cause.name()));
    }
}

#[test]
fn a_shard_s_counts_appear_when_it_publishes_and_when_it_ends() {
    let metrics = Metrics::new("0");
    let shard = metrics.shard();
    shard.event_in();
    shard.events_out(3);
    shard.bytes_in(10);
    shard.bytes_out(30);
    shard.queued(64, 2);
    shard.queued(-32, -1);
    shard.event_to_wire(Duration::from_micros(80));
    assert_eq!(value(&metrics, "innkeeper_events_out_total"), 0.0);
    shard.publish();
    shard.publish();
    for (name, expected) in [
        ("events_in_total", 1.0),
        ("events_out_total", 3.0),
        ("bytes_in_total", 10.0),
        ("bytes_out_total", 30.0),
        ("outbox_bytes", 32.0),
        ("outbox_frames", 1.0),
        ("event_to_wire_seconds_count", 1.0),
        ("event_to_wire_seconds_bucket{le=\"0.00005\"}", 0.0),
        ("event_to_wire_seconds_bucket{le=\"0.0001\"}", 1.0),
    ] {
        assert_eq!(value(&metrics, &format!("innkeeper_{name}")), expected, "{name}");
    }
    shard.queued(-32, -1);
    drop(shard);
    assert_eq!(value(&metrics, "innkeeper_outbox_bytes"), 0.0);
}

#[test]
fn refusals_and_disconnects_are_counted_by_their_names() {
    let metrics = Metrics::new("0");
    metrics.refused(Refusal::InvalidOrigin.code());
    metrics.disconnected(Cause::ClientClosed(1001));
    metrics.disconnected(Cause::ClientClosed(4999));
    assert_eq!(value(&metrics, "innkeeper_refusals_total{reason=\"invalid_origin\"}"), 1.0);
    assert_eq!(value(&metrics, "innkeeper_disconnects_total{cause=\"client_closed\"}"), 2.0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_scrape_tells_the_process_s_memory_time_files_and_start() {
    let metrics = Metrics::new("0");
    assert!(value(&metrics, "process_resident_memory_bytes") > 100_000.0);
    assert!(value(&metrics, "process_open_fds") >= 3.0);
    assert!(value(&metrics, "process_cpu_seconds_total") >= 0.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let start = value(&metrics, "process_start_time_seconds");
    assert!((now - 3600.0..now + 5.0).contains(&start), "{start} is not shortly before {now}");
    assert!(metrics.encode().contains("# TYPE process_cpu_seconds_total counter"));
}
