//! Owns where a hub's values come from: the server itself, whoever publishes, or an upstream.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    bus::{Bus, BusHome},
    update::TopicValue,
    upstream::Upstream,
};
use crate::{clock::Now, config::feeds::FeedConfig, protocol::Topic, ws::Dialer};

/// What a hub is made from, each time it begins.
pub enum SourceFactory {
    /// A source within the server.
    Polled(Box<dyn Fn() -> Box<dyn Polled> + Send + Sync>),
    /// Nothing but what is published: an event bus, which keeps it here.
    Bus(BusHome),
    Upstream(UpstreamPlan),
}

/// What it takes to reach an upstream.
#[derive(Clone)]
pub struct UpstreamPlan {
    pub feed: Arc<FeedConfig>,
    pub dialer: Dialer,
    /// MAX_UPSTREAM_CONNECTIONS, for all hubs together.
    pub permits: Arc<Semaphore>,
}

/// A source that is asked; lives with the hub, on its thread.
pub trait Polled: 'static {
    /// Somebody wants this topic now, and nobody did.
    fn watch(&mut self, topic: &Topic);

    /// Nobody wants it any more.
    fn unwatch(&mut self, topic: &Topic);

    /// What is new of the watched topics. Asked several times a second while there are any, and at once for a new one.
    fn poll(&mut self, now: Now) -> Vec<(Topic, TopicValue)>;
}

/// One life's source.
pub enum HubSource {
    Polled(Box<dyn Polled>),
    Bus(Box<Bus>),
    Upstream(Box<Upstream>),
}
