//! Owns a feed's description prepared for use: pointers and templates are parsed once.

use super::{codec::Codec, matcher::Test, rejection::RejectionRule, template::Template};
use crate::{config::feeds::FeedConfig, protocol::Topic};

pub(super) struct FrameRules {
    pub codec: Codec,
    pub ready: Vec<Test>,
    pub success: Vec<Test>,
    pub failure: Vec<Test>,
    /// What answers a heartbeat; if empty, any frame does.
    pub expect: Vec<Test>,
    pub rejected: Option<RejectionRule>,
    pub ignore: Vec<Test>,
    pub fatal: Vec<Test>,
    pub cool_down: Vec<Test>,
    pub subscribe: Option<Template>,
    pub unsubscribe: Option<Template>,
}

impl FrameRules {
    pub(super) fn new(feed: &FeedConfig) -> Self {
        let template = |template| Template::new(template, &feed.topic.separator);
        let auth = feed.auth.as_ref();
        Self {
            codec: Codec::new(feed),
            ready: Test::all(&feed.ready),
            success: auth.map(|auth| Test::all(&auth.success)).unwrap_or_default(),
            failure: auth.map(|auth| Test::all(&auth.failure)).unwrap_or_default(),
            expect: feed.heartbeat.as_ref().map(|heartbeat| Test::all(&heartbeat.expect)).unwrap_or_default(),
            rejected: feed.rejected.as_ref().map(|rejected| RejectionRule::new(rejected, &feed.topic.separator)),
            ignore: Test::all(&feed.ignore),
            fatal: Test::all(&feed.fatal),
            cool_down: Test::all(&feed.cool_down.when),
            subscribe: feed.subscribe.as_ref().map(template),
            unsubscribe: feed.unsubscribe.as_ref().map(template),
        }
    }

    /// Returns true if the upstream can be asked for this topic and for nothing else by it.
    /// Operators write `*` for any text, and so do the subscriptions of some upstreams: `T.*` would
    /// subscribe to every trade, under names that no client wants.
    pub(super) fn can_ask(&self, topic: &Topic) -> bool {
        let templates = [&self.subscribe, &self.unsubscribe];
        !topic.as_str().contains('*') && templates.into_iter().flatten().all(|template| template.can_say(topic))
    }

    /// Returns true if a topic that is not wanted any more can be given up.
    pub(super) fn can_drop(&self) -> bool {
        self.unsubscribe.is_some() || self.subscribe.is_none()
    }
}
