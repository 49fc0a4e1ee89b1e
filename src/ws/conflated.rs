//! Owns the values that wait for a client that does not keep up: the newest of each key, the least
//! recently changed first.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::frame::Frame;

/// What identifies a value of which only the newest matters: a volatile message's sender and name, or a topic and nothing.
pub type VolatileKey = (Rc<str>, Rc<str>);

/// A client that keeps up has none of these, so what it takes to find a value by its key costs idle clients nothing.
#[derive(Default)]
pub(super) struct Conflated {
    /// By the order in which they changed last. Frames without a key are never replaced.
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

    /// Bytes of this key's value.
    pub fn length_of(&self, key: &VolatileKey) -> Option<usize> {
        let place = self.places.get(key)?;
        self.waiting.get(place).map(|(_, frame)| frame.len())
    }

    /// The newest value of its key, or a frame that stands for itself; behind everything else.
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

    /// Drops the least recently changed; `false` when there is none.
    pub fn drop_first(&mut self) -> bool {
        let Some((_, (key, frame))) = self.waiting.pop_first() else { return false };
        if let Some(key) = key {
            self.places.remove(&key);
        }
        self.bytes -= frame.len();
        true
    }

    /// In order.
    pub fn into_frames(self) -> impl Iterator<Item = Frame> {
        self.waiting.into_values().map(|(_, frame)| frame)
    }
}
