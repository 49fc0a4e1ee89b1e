//! Owns what the hub `_server` tells operators: the topics `stats` and `security`. `app` makes it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{source::Polled, update::TopicValue};
use crate::{
    clock::Now,
    observe::{log::Recent, metrics::Metrics, stats::Stats},
    protocol::{RawJson, Topic},
};

/// How often `stats` is computed while it is wanted. A little less than a second: the hub asks at a fixed interval, and a
/// moment too early must not make it wait for the next.
const STATS_INTERVAL: Duration = Duration::from_millis(900);

/// Computes nothing while nobody looks.
pub struct ServerFeed {
    metrics: Arc<Metrics>,
    recent: Arc<Recent>,
    version: &'static str,
    started: Instant,
    has_store: bool,
    stats: Topic,
    security: Topic,
    /// While it is watched: when it was computed last.
    computed: Option<Option<Instant>>,
    /// While it is watched: the newest line that was told, `None` before the first.
    told: Option<Option<u64>>,
}

impl ServerFeed {
    /// All there are.
    pub const TOPICS: [&str; 2] = ["stats", "security"];

    pub fn new(
        metrics: Arc<Metrics>,
        recent: Arc<Recent>,
        version: &'static str,
        started: Instant,
        has_store: bool,
    ) -> Self {
        let [stats, security] = Self::TOPICS.map(Topic::of_program);
        Self { metrics, recent, version, started, has_store, stats, security, computed: None, told: None }
    }

    fn stats(&mut self, now: Now) -> Option<TopicValue> {
        let computed = self.computed.as_mut()?;
        if computed.is_some_and(|at| now.instant.saturating_duration_since(at) < STATS_INTERVAL) {
            return None;
        }
        *computed = Some(now.instant);
        let uptime = now.instant.saturating_duration_since(self.started);
        let stats = Stats::read(&self.metrics, self.version, now.unix_ms, uptime, self.has_store);
        let stats = RawJson::from_serialize(&stats);
        // Computed because somebody asked, so the first one is what was known then.
        Some(TopicValue { live: stats.clone(), whole: Some(stats) })
    }

    fn security(&mut self) -> Option<TopicValue> {
        let told = self.told.as_mut()?;
        // The first value comes also when there is no line yet: whoever subscribes is to hear something.
        if *told == Some(self.recent.count()) {
            return None;
        }
        // Both parts from one reading, or a line could be told twice.
        let (newest, all) = self.recent.after(0);
        let new = newest.saturating_sub(told.unwrap_or(0)).min(all.len() as u64) as usize;
        *told = Some(newest);
        Some(TopicValue { live: lines(&all[all.len() - new..])?, whole: Some(lines(&all)?) })
    }
}

/// The lines are JSON objects already.
fn lines(lines: &[String]) -> Option<RawJson> {
    RawJson::parse(&format!("{{\"lines\":[{}]}}", lines.join(","))).ok()
}

impl Polled for ServerFeed {
    fn watch(&mut self, topic: &Topic) {
        if *topic == self.stats {
            self.computed = Some(None);
        } else if *topic == self.security {
            self.told = Some(None);
        }
    }

    fn unwatch(&mut self, topic: &Topic) {
        if *topic == self.stats {
            self.computed = None;
        } else if *topic == self.security {
            self.told = None;
        }
    }

    fn poll(&mut self, now: Now) -> Vec<(Topic, TopicValue)> {
        let stats = self.stats(now).map(|value| (self.stats.clone(), value));
        let security = self.security().map(|value| (self.security.clone(), value));
        stats.into_iter().chain(security).collect()
    }
}
