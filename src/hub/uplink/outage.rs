//! Owns which topics may have missed values through lost connections, and since when, until
//! subscribers can be sent the gap (H4).

use std::{collections::HashSet, sync::Arc};

use super::output::Gap;
use crate::protocol::Topic;

/// All losses since the last value or the last gap: they make one gap, which begins with the first.
#[derive(Default)]
pub(super) struct Outage {
    /// Unix ms.
    from: u64,
    /// The topics that were wanted when a connection was lost, and ever since. Empty if there is no
    /// gap to send.
    topics: HashSet<Topic>,
}

impl Outage {
    /// A live connection was lost; `from` is when its last frame came (unix ms).
    pub(super) fn lost<'t>(&mut self, topics: impl Iterator<Item = &'t Topic>, from: u64) {
        if self.topics.is_empty() {
            self.from = from;
        }
        self.topics.extend(topics.cloned());
    }

    /// The topic is not wanted any more: a later subscriber has missed nothing.
    pub(super) fn unwanted(&mut self, topic: &Topic) {
        self.topics.remove(topic);
    }

    pub(super) fn forget(&mut self) {
        self.topics.clear();
    }

    /// Returns true if there is a gap to send.
    pub(super) fn is_open(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Ends the outage, and returns the gap to send before any value.
    pub(super) fn end(&mut self, to: u64) -> Option<Gap> {
        if self.topics.is_empty() {
            return None;
        }
        let topics = Arc::new(std::mem::take(&mut self.topics));
        // The wall clock may have been set back meanwhile.
        Some(Gap { topics, from: self.from.min(to), to })
    }
}
