//! Owns the reading of an upstream frame: its items, and of each item the topic and the data, byte
//! for byte as the upstream wrote them.

use serde_json::value::RawValue;

use super::matcher::{ItemPointer, JsonNode, Path, scalar};
use crate::{
    config::feeds::{FeedConfig, TopicRule, Unwrap},
    protocol::json::{MAX_DEPTH, is_deeper},
};

/// The rules for reading the frames of one feed.
pub(super) struct Codec {
    items: Path,
    data: Path,
    parts: Vec<Path>,
    separator: String,
    overrides: Vec<(String, Vec<Path>)>,
    names: Vec<(String, String)>,
}

/// A frame. `items` is `None` if the whole frame is the only item.
pub(super) struct UpstreamFrame<'a> {
    whole: JsonNode<'a>,
    items: Option<Vec<JsonNode<'a>>>,
}

impl<'a> UpstreamFrame<'a> {
    pub(super) fn places(&self) -> impl Iterator<Item = ItemPointer<'a, '_>> {
        let items = self.items.as_deref().unwrap_or(std::slice::from_ref(&self.whole));
        items.iter().map(|item| ItemPointer { item, frame: &self.whole })
    }
}

impl Codec {
    pub(super) fn new(feed: &FeedConfig) -> Self {
        let Unwrap { items, data } = &feed.unwrap;
        let TopicRule { parts, separator, overrides, names } = &feed.topic;
        Self {
            items: Path::of(items),
            data: Path::of(data),
            parts: Path::all(parts),
            separator: separator.clone(),
            overrides: overrides.iter().map(|(kind, parts)| (kind.clone(), Path::all(parts))).collect(),
            names: names.clone(),
        }
    }

    /// # Errors
    /// Why the frame cannot be read, for the log.
    pub(super) fn frame<'a>(&self, text: &'a str) -> Result<UpstreamFrame<'a>, &'static str> {
        // Leaves one level free: subscribers get the data inside a frame of ours.
        if is_deeper(text, MAX_DEPTH - 1) {
            return Err("nests too deep");
        }
        let whole = JsonNode::new(serde_json::from_str::<&RawValue>(text).map_err(|_| "is not JSON")?);
        let items = match self.items.read_in(&whole) {
            None => None,
            Some(holder) => match serde_json::from_str::<Vec<&RawValue>>(holder.get()) {
                Ok(items) => Some(items.into_iter().map(JsonNode::new).collect()),
                // Not an array: it is the only item. If it is the whole frame, its node exists
                // already.
                Err(_) if std::ptr::eq(holder, whole.raw()) => None,
                Err(_) => Some(vec![JsonNode::new(holder)]),
            },
        };
        Ok(UpstreamFrame { whole, items })
    }

    /// Overwrites `out` with the item's topic. Returns false if it has none.
    pub(super) fn topic(&self, place: ItemPointer<'_, '_>, out: &mut String) -> bool {
        self.write_topic(place, out).is_some()
    }

    fn write_topic(&self, place: ItemPointer<'_, '_>, out: &mut String) -> Option<()> {
        out.clear();
        let kind = part(self.parts.first()?, place)?;
        let special = self.overrides.iter().find(|(name, _)| *name == kind).map(|(_, parts)| parts);
        let (first, rest) = special.unwrap_or(&self.parts).split_first()?;
        let first = if special.is_some() { part(first, place)? } else { kind };
        let renamed = self.names.iter().find(|(said, _)| *said == first).map(|(_, name)| name.as_str());
        out.push_str(renamed.unwrap_or(&first));
        for path in rest {
            out.push_str(&self.separator);
            out.push_str(&part(path, place)?);
        }
        Some(())
    }

    /// Returns the part of the item that subscribers get.
    pub(super) fn data<'a>(&self, place: ItemPointer<'a, '_>) -> Option<&'a RawValue> {
        self.data.read_in(place.item)
    }
}

/// A part of a topic: any scalar except `null`.
fn part<'a>(path: &Path, place: ItemPointer<'a, '_>) -> Option<std::borrow::Cow<'a, str>> {
    path.read(place).filter(|raw| raw.get() != "null").and_then(scalar)
}
