//! Owns what a client asks of a hub (section 6).

use serde_json::value::RawValue;

use super::{Envelope, FieldReader, FrameError};
use crate::protocol::{
    Topic,
    json::{RawJson, string},
    topic::MAX_TOPICS,
};

/// A subscriber's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubRequest {
    /// 1 to `MAX_TOPICS`.
    Subscribe { topics: Vec<Topic> },
    /// 1 to `MAX_TOPICS`.
    Unsubscribe { topics: Vec<Topic> },
    /// Acknowledged with `published` if it has an `id`.
    Publish { id: Option<u64>, topic: Topic, data: RawJson },
}

impl HubRequest {
    /// Returns `None` if `kind` is none of these.
    pub(super) fn parse(kind: &str, frame: &Envelope<'_>, reader: FieldReader<'_>) -> Result<Option<Self>, FrameError> {
        let topics = || {
            let bad = || reader.invalid("topics is a list of 1 to 1000 names of 1 to 128 bytes");
            topics(frame.topics).ok_or_else(bad)
        };
        Ok(Some(match kind {
            "subscribe" => Self::Subscribe { topics: topics()? },
            "unsubscribe" => Self::Unsubscribe { topics: topics()? },
            "publish" => {
                let topic = frame.topic.and_then(string).and_then(|name| Topic::parse(&name));
                let topic = topic.ok_or_else(|| reader.invalid("topic is a name of 1 to 128 bytes"))?;
                let data = frame.data.ok_or_else(|| reader.invalid("data is missing"))?;
                Self::Publish { id: reader.id, topic, data: reader.passed_on(data)? }
            }
            _ => return Ok(None),
        }))
    }
}

fn topics(raw: Option<&RawValue>) -> Option<Vec<Topic>> {
    let names: Vec<String> = serde_json::from_str(raw?.get()).ok()?;
    let topics: Option<Vec<_>> = names.iter().map(|name| Topic::parse(name)).collect();
    topics.filter(|topics| (1..=MAX_TOPICS).contains(&topics.len()))
}
