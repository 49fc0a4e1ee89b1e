//! Owns what a hub tells a shard: one ordered list of values, of changes of the feed, and of gaps;
//! pure.

use super::{
    update::Update,
    uplink::{FeedStatus, Gap, Rejected},
};
use crate::protocol::Topic;

/// Crosses threads; cloning shares texts and sets.
#[derive(Debug, Clone)]
pub enum HubEvent {
    Update(Update),
    /// H1: what was known of a topic when this shard asked for it.
    Last(Update),
    /// H3.
    Feed(FeedStatus),
    /// H4: before the first fresh value of these topics.
    Gap(Gap),
    /// The upstream does not have a topic that is wanted.
    Rejected(Rejected),
    /// It made room for another, as it never had a value: it is not wanted any more.
    Evicted(Topic),
    /// The hub ended abnormally at this moment (unix ms), and another has taken its place: it knows nothing of this shard.
    Restarted(u64),
    /// The hub ended abnormally too often of late: there is none now.
    Ended,
}

/// Why a topic that was wanted is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRefusal {
    /// The hub has as many topics as it may.
    Full,
    /// The upstream cannot be asked for a topic of this name.
    Nameless,
}

impl HubEvent {
    /// The one topic that it is of, which is nobody's business whom it does not matter to.
    pub fn topic(&self) -> Option<&Topic> {
        match self {
            Self::Update(update) | Self::Last(update) => Some(&update.topic),
            Self::Rejected(rejected) => Some(&rejected.topic),
            Self::Evicted(topic) => Some(topic),
            _ => None,
        }
    }

    /// The topic of a value that nothing later makes up for.
    pub fn step(&self) -> Option<&Topic> {
        match self {
            Self::Update(update) if update.value.whole.is_none() => Some(&update.topic),
            _ => None,
        }
    }

    /// The memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Update(update) | Self::Last(update) => size_of::<Self>() + update.bytes(),
            Self::Rejected(rejected) => size_of::<Self>() + rejected.said.len(),
            _ => size_of::<Self>(),
        }
    }
}
