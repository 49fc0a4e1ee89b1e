//! Owns the values of the hub `_server` for operators: the topics `stats` and `security`.

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

/// How long `stats` stays valid while it is wanted. A little less than a second: the hub polls at a
/// fixed interval, and a poll that is a moment early must not skip the value.
const STATS_INTERVAL: Duration = Duration::from_millis(900);

/// Computes nothing while no operator is subscribed.
pub(crate) struct ServerFeed {
    metrics: Arc<Metrics>,
    recent: Arc<Recent>,
    version: &'static str,
    started: Instant,
    has_store: bool,
    stats: Topic,
    security: Topic,
    /// `Some` while the topic is watched: when it was computed last.
    computed: Option<Option<Instant>>,
    /// `Some` while the topic is watched: the number of the newest line that was published, `None`
    /// before the first value.
    sent: Option<Option<u64>>,
}

impl ServerFeed {
    /// All topics of this hub.
    pub(crate) const TOPICS: [&str; 2] = ["stats", "security"];

    pub(crate) fn new(
        metrics: Arc<Metrics>,
        recent: Arc<Recent>,
        version: &'static str,
        started: Instant,
        has_store: bool,
    ) -> Self {
        let [stats, security] = Self::TOPICS.map(Topic::of_program);
        Self { metrics, recent, version, started, has_store, stats, security, computed: None, sent: None }
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
        // The value was computed on demand, so it is also the whole state for a new subscriber.
        Some(TopicValue { live: stats.clone(), whole: Some(stats) })
    }

    fn security(&mut self) -> Option<TopicValue> {
        let sent = self.sent.as_mut()?;
        // The first value is published even without a line, so that a new subscriber gets a value.
        if *sent == Some(self.recent.count()) {
            return None;
        }
        // Both parts come from one reading, or a line could be published twice.
        let (newest, all) = self.recent.after(0);
        let new = newest.saturating_sub(sent.unwrap_or(0)).min(all.len() as u64) as usize;
        *sent = Some(newest);
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
            self.sent = Some(None);
        }
    }

    fn unwatch(&mut self, topic: &Topic) {
        if *topic == self.stats {
            self.computed = None;
        } else if *topic == self.security {
            self.sent = None;
        }
    }

    fn poll(&mut self, now: Now) -> Vec<(Topic, TopicValue)> {
        let stats = self.stats(now).map(|value| (self.stats.clone(), value));
        let security = self.security().map(|value| (self.security.clone(), value));
        stats.into_iter().chain(security).collect()
    }
}
