//! Owns what is remembered of lost connections until subscribers can be told (H4): which topics,
//! and since when.

use std::{collections::HashSet, sync::Arc};

use super::output::Gap;
use crate::protocol::Topic;

/// Of all losses since the last value or the last gap: they make one gap, which begins with the first.
#[derive(Default)]
pub struct Outage {
    /// Unix ms.
    from: u64,
    /// Wanted when a connection was lost, and ever since. Empty: nothing is to be told.
    topics: HashSet<Topic>,
}

impl Outage {
    /// A connection that was live is gone; something was last heard on it `from`.
    pub fn lost<'t>(&mut self, topics: impl Iterator<Item = &'t Topic>, from: u64) {
        if self.topics.is_empty() {
            self.from = from;
        }
        self.topics.extend(topics.cloned());
    }

    /// Whoever wants it later has missed nothing.
    pub fn unwanted(&mut self, topic: &Topic) {
        self.topics.remove(topic);
    }

    pub fn forget(&mut self) {
        self.topics.clear();
    }

    /// Whether anything is to be told.
    pub fn is_open(&self) -> bool {
        !self.topics.is_empty()
    }

    /// It is over: what is to be told, before any value.
    pub fn end(&mut self, to: u64) -> Option<Gap> {
        if self.topics.is_empty() {
            return None;
        }
        let topics = Arc::new(std::mem::take(&mut self.topics));
        // The calendar's clock may have been set back meanwhile.
        Some(Gap { topics, from: self.from.min(to), to })
    }
}
