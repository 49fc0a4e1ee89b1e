//! Owns the sources of a hub's values: the server itself, publishers, or an upstream.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    bus::{Bus, BusHome},
    update::TopicValue,
    upstream::Upstream,
};
use crate::{clock::Now, config::feeds::FeedConfig, protocol::Topic, ws::Dialer};

/// What each life of a hub makes its source from.
pub(crate) enum SourceFactory {
    /// A source within the server.
    Polled(Box<dyn Fn() -> Box<dyn Polled> + Send + Sync>),
    /// An event bus: values are published, and kept in this home.
    Bus(BusHome),
    Upstream(UpstreamPlan),
}

/// What a hub needs to reach its upstream.
#[derive(Clone)]
pub(crate) struct UpstreamPlan {
    pub feed: Arc<FeedConfig>,
    pub dialer: Dialer,
    /// `MAX_UPSTREAM_CONNECTIONS`, shared by all hubs.
    pub permits: Arc<Semaphore>,
}

/// A source that the hub polls; it lives on the hub's thread.
pub(crate) trait Polled: 'static {
    /// The topic is wanted now, and was not before.
    fn watch(&mut self, topic: &Topic);

    /// The topic is not wanted any more.
    fn unwatch(&mut self, topic: &Topic);

    /// Returns new values of the watched topics. Polled several times a second while a topic is
    /// watched, and at once for a new one.
    fn poll(&mut self, now: Now) -> Vec<(Topic, TopicValue)>;
}

/// The source of one life.
pub(super) enum HubSource {
    Polled(Box<dyn Polled>),
    Bus(Box<Bus>),
    Upstream(Box<Upstream>),
}
