//! Owns the events that a hub sends to a shard, in one order: values, changes of the feed's state,
//! and gaps; pure.

use super::{
    update::Update,
    uplink::{FeedStatus, Gap, Rejected},
};
use crate::protocol::Topic;

/// Crosses threads; a clone shares texts and sets.
#[derive(Debug, Clone)]
pub(crate) enum HubEvent {
    Update(Update),
    /// H1: the last value of a topic when this shard began to want it.
    Last(Update),
    /// H3: the feed's state has changed.
    Feed(FeedStatus),
    /// H4: sent before the first new value of these topics.
    Gap(Gap),
    /// The upstream does not have a topic that is wanted.
    Rejected(Rejected),
    /// The topic never had a value and made room for another: the hub does not have it any more.
    Evicted(Topic),
    /// The hub failed at this moment (unix ms), and the next life has begun. It has no interest of
    /// this shard yet.
    Restarted(u64),
    /// The hub failed too often within a short time, and is not started again for now.
    Ended,
}

/// Why the hub does not have a topic that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicRefusal {
    /// The hub has as many topics as it may.
    Full,
    /// The upstream cannot be asked for a topic of this name.
    Nameless,
}

impl HubEvent {
    /// The topic this event is about, if it is about one. Shards without a subscriber to it skip
    /// the event.
    pub(crate) fn topic(&self) -> Option<&Topic> {
        match self {
            Self::Update(update) | Self::Last(update) => Some(&update.topic),
            Self::Rejected(rejected) => Some(&rejected.topic),
            Self::Evicted(topic) => Some(topic),
            _ => None,
        }
    }

    /// The topic of a value that a later value does not include: dropping it leaves a gap.
    pub(crate) fn step(&self) -> Option<&Topic> {
        match self {
            Self::Update(update) if update.value.whole.is_none() => Some(&update.topic),
            _ => None,
        }
    }

    /// The approximate memory that the event takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Update(update) | Self::Last(update) => size_of::<Self>() + update.bytes(),
            Self::Rejected(rejected) => size_of::<Self>() + rejected.said.len(),
            _ => size_of::<Self>(),
        }
    }
}
