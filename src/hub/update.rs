//! Owns the updates of a topic: a value, its number, and the two frames that carry it.

use crate::{
    protocol::{RawJson, Topic, server::write_data},
    ws::{Frame, json_frame},
};

/// A value that a source publishes for one of its topics.
#[derive(Debug, Clone)]
pub(crate) struct TopicValue {
    /// The new value, or the newest step.
    pub live: RawJson,
    /// The whole state, if `live` is only a step towards it. `None` if `live` is the whole state.
    pub whole: Option<RawJson>,
}

/// A value with its number. Crosses threads; a clone shares the text.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub topic: Topic,
    /// Consecutive while the topic is wanted. It never falls, and skips numbers after a time in
    /// which the topic was not wanted.
    pub seq: u64,
    pub value: TopicValue,
}

impl Update {
    /// The frame for a subscriber that has the value before this one.
    pub(crate) fn live_frame(&self) -> Frame {
        json_frame(|out| write_data(out, &self.topic, self.seq, false, &self.value.live))
    }

    /// The frame for a subscriber that has no value, or has missed one.
    pub(crate) fn whole_frame(&self) -> Frame {
        let whole = self.value.whole.as_ref().unwrap_or(&self.value.live);
        json_frame(|out| write_data(out, &self.topic, self.seq, true, whole))
    }

    /// The approximate memory of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let whole = self.value.whole.as_ref().map_or(0, |whole| whole.as_str().len());
        self.topic.as_str().len() + self.value.live.as_str().len() + whole
    }

    /// Returns true if a subscriber whose last number is `seen` (or that has none) misses nothing
    /// between that and this update.
    pub(crate) fn follows(&self, seen: Option<u64>) -> bool {
        self.value.whole.is_none() || seen == Some(self.seq - 1)
    }
}
