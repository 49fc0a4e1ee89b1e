//! Owns what a hub says of a topic: a value, its number, and the two frames it can be told in.

use crate::{
    protocol::{RawJson, Topic, server::write_data},
    ws::{Frame, json_frame},
};

/// What a source has to say of one of its topics.
#[derive(Debug, Clone)]
pub struct TopicValue {
    /// What is new.
    pub live: RawJson,
    /// All there is to know, where `live` is only a step towards it; `None`: `live` says it all.
    pub whole: Option<RawJson>,
}

/// A value with its number. Crosses threads; cloning shares the text.
#[derive(Debug, Clone)]
pub struct Update {
    pub topic: Topic,
    /// Consecutive within the topic for as long as anybody wants it; it never falls, and leaves a gap when nobody did.
    pub seq: u64,
    pub value: TopicValue,
}

impl Update {
    /// For whoever has the value before it, if the value comes in steps.
    pub fn live_frame(&self) -> Frame {
        json_frame(|out| write_data(out, &self.topic, self.seq, false, &self.value.live))
    }

    /// For whoever has nothing, or has missed something.
    pub fn whole_frame(&self) -> Frame {
        let whole = self.value.whole.as_ref().unwrap_or(&self.value.live);
        json_frame(|out| write_data(out, &self.topic, self.seq, true, whole))
    }

    /// The memory it takes, roughly.
    pub fn bytes(&self) -> usize {
        let whole = self.value.whole.as_ref().map_or(0, |whole| whole.as_str().len());
        self.topic.as_str().len() + self.value.live.as_str().len() + whole
    }

    /// Whether a subscriber that has seen `seen`, or nothing, needs nothing in between.
    pub fn follows(&self, seen: Option<u64>) -> bool {
        self.value.whole.is_none() || seen == Some(self.seq - 1)
    }
}
