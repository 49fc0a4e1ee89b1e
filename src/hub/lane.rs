//! Owns what is on its way from a hub to one shard: one message at a time, the newest update of each topic behind it; pure.
//! Called by the `Hub` actor, one for each shard that wants something.

use std::collections::BTreeMap;

use super::update::Update;
use crate::protocol::Topic;

/// Bounded by the topics that the shard wants.
#[derive(Default)]
pub struct Lane {
    waiting: BTreeMap<Topic, Update>,
    is_busy: bool,
}

impl Lane {
    /// Takes the place of an older update of its topic; the shard sees the gap in `seq`.
    pub fn push(&mut self, update: Update) {
        self.waiting.insert(update.topic.clone(), update);
    }

    /// The shard does not want this topic any more.
    pub fn forget(&mut self, topic: &Topic) {
        self.waiting.remove(topic);
    }

    /// What to send now; call [`Lane::sent`] when the shard has it.
    pub fn next(&mut self) -> Option<Vec<Update>> {
        if self.is_busy || self.waiting.is_empty() {
            return None;
        }
        self.is_busy = true;
        Some(std::mem::take(&mut self.waiting).into_values().collect())
    }

    pub fn sent(&mut self) {
        self.is_busy = false;
    }
}
