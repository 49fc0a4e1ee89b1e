//! Owns conflated values: for a client that does not keep up, the newest value of each key waits
//! here, the least recently changed first.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::frame::Frame;

/// Identifies a value of which only the newest matters: the sender and name of a volatile message,
/// or a topic and an empty string.
pub type VolatileKey = (Rc<str>, Rc<str>);

/// The waiting values of one outbox. Only exists while the client does not keep up, so the index by
/// key costs other clients nothing.
#[derive(Default)]
pub(super) struct Conflated {
    /// In the order of their last change. Frames without a key are never replaced.
    waiting: BTreeMap<u64, (Option<VolatileKey>, Frame)>,
    places: HashMap<VolatileKey, u64>,
    next: u64,
    bytes: usize,
}

impl Conflated {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Length of this key's value in bytes.
    pub fn length_of(&self, key: &VolatileKey) -> Option<usize> {
        let place = self.places.get(key)?;
        self.waiting.get(place).map(|(_, frame)| frame.len())
    }

    /// Appends a frame behind all others. A frame with a key replaces the earlier value of that
    /// key.
    pub fn push(&mut self, key: Option<VolatileKey>, frame: Frame) {
        if let Some(key) = &key {
            self.remove(key);
            self.places.insert(key.clone(), self.next);
        }
        self.bytes += frame.len();
        self.waiting.insert(self.next, (key, frame));
        self.next += 1;
    }

    pub fn remove(&mut self, key: &VolatileKey) -> Option<Frame> {
        let place = self.places.remove(key)?;
        let (_, frame) = self.waiting.remove(&place)?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Drops the least recently changed frame; returns `false` if there is none.
    pub fn drop_first(&mut self) -> bool {
        let Some((_, (key, frame))) = self.waiting.pop_first() else { return false };
        if let Some(key) = key {
            self.places.remove(&key);
        }
        self.bytes -= frame.len();
        true
    }

    /// The frames, least recently changed first.
    pub fn into_frames(self) -> impl Iterator<Item = Frame> {
        self.waiting.into_values().map(|(_, frame)| frame)
    }
}
