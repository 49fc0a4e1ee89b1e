//! Owns conflated values: for a client that does not keep up, the newest value of each key waits
//! here, the least recently changed first.

use std::collections::{BTreeMap, HashMap};

use super::policy::ValueKey;
use crate::ws::frame::{self, Frame};

/// The waiting values of one outbox. Only exists while the client does not keep up, so the index by
/// key costs other clients nothing.
#[derive(Default)]
pub(super) struct Conflated {
    /// In the order of their last change. Frames without a key are never replaced.
    waiting: BTreeMap<u64, (Option<ValueKey>, Frame)>,
    places: HashMap<ValueKey, u64>,
    next: u64,
    /// The sum of the frames' lengths.
    bytes: usize,
    /// The sum of the frames' costs.
    cost: usize,
}

impl Conflated {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// Cost of this key's value; 0 without one.
    pub(super) fn cost_of(&self, key: &ValueKey) -> usize {
        let value = self.places.get(key).and_then(|place| self.waiting.get(place));
        value.map_or(0, |(_, frame)| frame::cost(frame.len()))
    }

    /// Appends a frame behind all others. A frame with a key replaces the earlier value of that
    /// key.
    pub(super) fn push(&mut self, key: Option<ValueKey>, frame: Frame) {
        if let Some(key) = &key {
            self.remove(key);
            self.places.insert(key.clone(), self.next);
        }
        self.bytes += frame.len();
        self.cost += frame::cost(frame.len());
        self.waiting.insert(self.next, (key, frame));
        self.next += 1;
    }

    pub(super) fn remove(&mut self, key: &ValueKey) -> Option<Frame> {
        let place = self.places.remove(key)?;
        let (_, frame) = self.waiting.remove(&place)?;
        self.discount(&frame);
        Some(frame)
    }

    /// Drops the least recently changed frame; returns `false` if there is none.
    pub(super) fn drop_first(&mut self) -> bool {
        let Some((_, (key, frame))) = self.waiting.pop_first() else { return false };
        if let Some(key) = key {
            self.places.remove(&key);
        }
        self.discount(&frame);
        true
    }

    fn discount(&mut self, frame: &Frame) {
        self.bytes -= frame.len();
        self.cost -= frame::cost(frame.len());
    }

    /// The frames, least recently changed first.
    pub(super) fn into_frames(self) -> impl Iterator<Item = Frame> {
        self.waiting.into_values().map(|(_, frame)| frame)
    }
}
