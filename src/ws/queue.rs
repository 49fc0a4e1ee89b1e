//! Owns the frames that wait in one outbox: order, byte counts by class, conflation of volatile
//! values (S8); no I/O. The flusher keeps emptied ones for the next.

use std::{collections::VecDeque, io::IoSlice, time::Instant};

use super::{
    conflated::{Conflated, VolatileKey},
    frame::{self, Frame},
};

/// Frames handed to one vectored write. Linux takes 1024; past 64 the call's own price no longer matters.
pub(super) const MAX_SLICES: usize = 64;
/// Distinct volatile values kept for a client that does not keep up, within `OUTBOX_BYTES` of their own; the least
/// recently changed makes room (S8).
pub(super) const MAX_VOLATILE: usize = 256;

#[derive(Default)]
pub(super) struct FrameQueue {
    pub(super) frames: Frames,
    /// Bytes of the first frame that are on the wire already.
    pub(super) written: usize,
    /// Queued bytes of live frames; volatile ones are counted apart, so they alone never close anybody.
    pub(super) bytes: usize,
    pub(super) volatile_bytes: usize,
    /// What waits behind `frames` for a client that does not keep up; `None` for one that does.
    conflated: Option<Box<Conflated>>,
    /// Of a proxy's upstream; also apart: whoever reads from it waits instead.
    pub(super) relayed_bytes: usize,
    /// Frames of the upstream that are wholly written, since the beginning.
    pub(super) relayed_written: u64,
    /// The socket took less than it was offered; only writability starts it again.
    pub(super) blocked: bool,
    /// When the values of topics were made of which the first came while the client kept up.
    together: Option<Instant>,
    /// When the oldest queued frame was made.
    pub(super) since: Option<Instant>,
}

/// Frames on their way, oldest first.
pub(super) type Frames = VecDeque<QueuedFrame>;

pub(super) struct QueuedFrame {
    frame: Frame,
    class: Class,
}

/// What a frame counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `OUTBOX_BYTES`.
    Live,
    /// Nothing: a welcome and what follows it are bounded by the state and the history, and share their memory.
    CatchUp,
    /// A bound of its own; past it values are conflated (S8).
    Volatile,
    /// A bound of its own; past it the upstream is not read (X2).
    Relayed,
}

impl Class {
    fn cost(self, frame: &Frame) -> usize {
        match self {
            Self::Relayed => frame::cost(frame.len()),
            Self::Live | Self::CatchUp | Self::Volatile => frame.len(),
        }
    }
}

impl FrameQueue {
    pub(super) fn append(&mut self, frame: Frame, class: Class, made: Instant) {
        self.since.get_or_insert(made);
        let cost = class.cost(&frame);
        if let Some(count) = self.count(class) {
            *count += cost;
        }
        self.frames.push_back(QueuedFrame { frame, class });
    }

    fn count(&mut self, class: Class) -> Option<&mut usize> {
        match class {
            Class::Live => Some(&mut self.bytes),
            Class::Volatile => Some(&mut self.volatile_bytes),
            Class::Relayed => Some(&mut self.relayed_bytes),
            Class::CatchUp => None,
        }
    }

    /// Whether a value of `bytes` may go out in order with everything else.
    pub(super) fn keeps_up(&self, bytes: usize, max_bytes: usize) -> bool {
        // Behind conflated values nothing may overtake: an older value of the same key would come after this one.
        let is_behind = self.blocked || self.conflated.is_some();
        !is_behind && (self.volatile_bytes == 0 || self.volatile_bytes + bytes <= max_bytes)
    }

    /// Whether only the bound speaks against [`Queue::keeps_up`].
    pub(super) fn is_much(&self, bytes: usize, max_bytes: usize) -> bool {
        !self.blocked && self.conflated.is_none() && !self.keeps_up(bytes, max_bytes)
    }

    /// As [`Queue::keeps_up`], for values of topics: what was made together with one that a client took while it kept up may wait
    /// for its socket, too.
    pub(super) fn takes_topic(&mut self, bytes: usize, max_bytes: usize, made: Instant) -> bool {
        if self.keeps_up(bytes, max_bytes) {
            self.together = Some(made);
            return true;
        }
        self.together == Some(made) && self.conflated.is_none() && self.volatile_bytes + bytes <= max_bytes
    }

    /// Whether values wait that only go out when everything ordered is out.
    pub(super) fn has_conflated(&self) -> bool {
        self.conflated.is_some()
    }

    /// Whether [`Queue::replace`] would stay within the bound. One value always fits.
    pub(super) fn has_place(&self, key: Option<&VolatileKey>, bytes: usize, max_bytes: usize) -> bool {
        let Some(conflated) = &self.conflated else { return true };
        let own = key.and_then(|key| conflated.length_of(key)).unwrap_or(0);
        let others = conflated.bytes() - own;
        others == 0 || others + bytes <= max_bytes
    }

    /// Drops the value of one key; returns its bytes, and 1 if there was one.
    pub(super) fn forget(&mut self, key: &VolatileKey) -> (usize, usize) {
        let Some(conflated) = &mut self.conflated else { return (0, 0) };
        let Some(value) = conflated.remove(key) else { return (0, 0) };
        if conflated.len() == 0 {
            self.conflated = None;
        }
        (value.len(), 1)
    }

    /// Keeps this as the newest value of its key, or as a frame of its own, behind everything that waits; nothing else makes
    /// room for it. Returns by how many bytes and frames the queue grew.
    pub(super) fn replace(&mut self, key: Option<&VolatileKey>, frame: Frame) -> (i64, i64) {
        self.conflate_within(key, frame, usize::MAX, usize::MAX)
    }

    /// Keeps the newest value of each key, and of these the newest that fit `max_bytes`, this one in any case (S8).
    /// Returns by how many bytes and frames the queue grew.
    pub(super) fn conflate(&mut self, key: &VolatileKey, frame: Frame, max_bytes: usize) -> (i64, i64) {
        self.conflate_within(Some(key), frame, MAX_VOLATILE, max_bytes)
    }

    fn conflate_within(
        &mut self,
        key: Option<&VolatileKey>,
        frame: Frame,
        max_values: usize,
        max_bytes: usize,
    ) -> (i64, i64) {
        let conflated = self.conflated.get_or_insert_default();
        let before = (conflated.bytes() as i64, conflated.len() as i64);
        if let Some(key) = key {
            conflated.remove(key);
        }
        let is_full = |conflated: &Conflated| {
            conflated.len() >= max_values || conflated.bytes().saturating_add(frame.len()) > max_bytes
        };
        while is_full(conflated) && conflated.drop_first() {}
        conflated.push(key.cloned(), frame);
        (conflated.bytes() as i64 - before.0, conflated.len() as i64 - before.1)
    }

    /// Bytes that wait, of every class, and their frames.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let bytes: usize = self.frames.iter().map(|entry| entry.frame.len()).sum();
        let (conflated, values) = self.conflated_size();
        (bytes + conflated - self.written, self.frames.len() + values)
    }

    /// Whether a live frame of `bytes` is too much. One always fits: a bound below the longest message must not close
    /// a client that keeps up.
    pub(super) fn is_over(&self, bytes: usize, max_bytes: usize) -> bool {
        self.bytes > 0 && self.bytes + bytes > max_bytes
    }

    /// What is left of the first frame.
    pub(super) fn first_slice(&self) -> IoSlice<'_> {
        IoSlice::new(self.frames.front().map_or(&[], |entry| &entry.frame[self.written..]))
    }

    pub(super) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        for (slice, entry) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&entry.frame[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// Drops `written` bytes from the front; returns how many frames that finished.
    pub(super) fn advance(&mut self, written: usize) -> usize {
        let mut left = self.written + written;
        let mut frames = 0;
        while let Some(entry) = self.frames.front() {
            let length = entry.frame.len();
            if left < length {
                break;
            }
            left -= length;
            frames += 1;
            let class = entry.class;
            self.relayed_written += u64::from(class == Class::Relayed);
            let cost = class.cost(&entry.frame);
            if let Some(count) = self.count(class) {
                *count -= cost;
            }
            self.frames.pop_front();
        }
        self.written = left;
        // Volatile values wait until everything ordered is out, then the newest of each goes.
        if self.frames.is_empty() {
            for frame in self.conflated.take().into_iter().flat_map(|conflated| conflated.into_frames()) {
                self.volatile_bytes += frame.len();
                self.frames.push_back(QueuedFrame { frame, class: Class::Volatile });
            }
        }
        frames
    }

    /// Drops all frames but one that is partly written: its rest must follow, or the peer loses the framing.
    pub(super) fn release(&mut self) -> (usize, usize) {
        let written = std::mem::take(&mut self.written);
        let partial = if written > 0 { self.frames.pop_front() } else { None };
        let released = self.release_all();
        if let Some(entry) = partial {
            self.written = written;
            self.append(entry.frame, entry.class, Instant::now());
        }
        released
    }

    /// Conflated values go out last; behind a close frame nothing may (RFC 6455 section 5.5.1).
    pub(super) fn forget_conflated(&mut self) -> (usize, usize) {
        let size = self.conflated_size();
        self.conflated = None;
        size
    }

    /// Bytes and number of the values that wait behind everything ordered.
    fn conflated_size(&self) -> (usize, usize) {
        self.conflated.as_ref().map_or((0, 0), |conflated| (conflated.bytes(), conflated.len()))
    }

    /// Drops the frames of the upstream that are not begun; returns their bytes and their number.
    pub(super) fn release_relayed(&mut self) -> (usize, usize) {
        let frames = self.frames.len();
        let mut may_drop = self.written == 0;
        let (mut dropped, mut left) = (0, 0);
        self.frames.retain(|entry| {
            let stays = entry.class != Class::Relayed || !may_drop;
            may_drop = true;
            if !stays {
                dropped += entry.frame.len();
            } else if entry.class == Class::Relayed {
                left += entry.class.cost(&entry.frame);
            }
            stays
        });
        self.relayed_bytes = left;
        (dropped, frames - self.frames.len())
    }

    /// Frames of the upstream that are written, or begun.
    pub(super) fn relayed_begun(&self) -> u64 {
        let is_begun = self.written > 0 && self.frames.front().is_some_and(|entry| entry.class == Class::Relayed);
        self.relayed_written + u64::from(is_begun)
    }

    pub(super) fn release_all(&mut self) -> (usize, usize) {
        let ordered: usize = self.frames.iter().map(|entry| entry.frame.len()).sum();
        let (conflated, values) = self.conflated_size();
        let queued = ordered + conflated;
        let frames = self.frames.len() + values;
        let written = self.written;
        *self = Self { blocked: self.blocked, relayed_written: self.relayed_written, ..Self::default() };
        (queued.saturating_sub(written), frames)
    }
}
