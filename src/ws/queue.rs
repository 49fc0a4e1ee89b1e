//! Owns the queued frames of one outbox: their order, byte counts by class, and conflation of
//! volatile values (S8); no I/O.

use std::{collections::VecDeque, io::IoSlice, time::Instant};

use super::{
    conflated::{Conflated, VolatileKey},
    frame::{self, Frame},
};

/// Frames in one vectored write. Linux takes 1024; past 64 the cost of the call no longer matters.
pub(super) const MAX_SLICES: usize = 64;
/// Distinct volatile values kept for a client that does not keep up, besides a bound of
/// `OUTBOX_BYTES` for them. Past it the least recently changed is dropped (S8).
pub(super) const MAX_VOLATILE: usize = 256;

#[derive(Default)]
pub(super) struct FrameQueue {
    pub(super) frames: Frames,
    /// Bytes of the first frame that are already written.
    pub(super) written: usize,
    /// Queued bytes of live frames. The other classes are counted apart, so they never close a
    /// client as too slow.
    pub(super) bytes: usize,
    pub(super) volatile_bytes: usize,
    /// Values that wait behind `frames`. `None` as long as the client keeps up.
    conflated: Option<Box<Conflated>>,
    /// Queued cost of relayed frames of a proxy's upstream; past the bound the upstream is not
    /// read.
    pub(super) relayed_bytes: usize,
    /// Number of relayed frames that were written completely, over the connection's life.
    pub(super) relayed_written: u64,
    /// The socket took less than was offered; writing goes on when it is writable.
    pub(super) blocked: bool,
    /// The `made` time of the last topic update that was queued while the client kept up. Updates
    /// with the same time may follow it.
    together: Option<Instant>,
    /// When the oldest queued frame was made.
    pub(super) since: Option<Instant>,
}

/// Queued frames, oldest first.
pub(super) type Frames = VecDeque<QueuedFrame>;

pub(super) struct QueuedFrame {
    frame: Frame,
    class: Class,
}

/// The bound that a frame counts towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `OUTBOX_BYTES`; past it the client is closed (S6).
    Live,
    /// None: the room's state and history bound the welcome and the frames after it, and share
    /// memory with them.
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

    /// Returns true if a volatile value of `bytes` may be queued in order with everything else.
    pub(super) fn keeps_up(&self, bytes: usize, max_bytes: usize) -> bool {
        // While values are conflated, none may go before them: an older value of the same key would
        // come after this one.
        let is_behind = self.blocked || self.conflated.is_some();
        !is_behind && (self.volatile_bytes == 0 || self.volatile_bytes + bytes <= max_bytes)
    }

    /// Returns true if only the bound makes [`FrameQueue::keeps_up`] false.
    pub(super) fn is_much(&self, bytes: usize, max_bytes: usize) -> bool {
        !self.blocked && self.conflated.is_none() && !self.keeps_up(bytes, max_bytes)
    }

    /// As [`FrameQueue::keeps_up`], for topics: also takes an update that was made together with
    /// one that the client took while it kept up, even if the socket is blocked by now.
    pub(super) fn takes_topic(&mut self, bytes: usize, max_bytes: usize, made: Instant) -> bool {
        if self.keeps_up(bytes, max_bytes) {
            self.together = Some(made);
            return true;
        }
        self.together == Some(made) && self.conflated.is_none() && self.volatile_bytes + bytes <= max_bytes
    }

    /// Returns true if values wait until everything ordered is written.
    pub(super) fn has_conflated(&self) -> bool {
        self.conflated.is_some()
    }

    /// Returns true if [`FrameQueue::replace`] would stay within the bound. One value always fits.
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

    /// Puts a frame behind everything that waits, with a key in place of that key's earlier value.
    /// Drops nothing else. Returns by how many bytes and frames the queue grew.
    pub(super) fn replace(&mut self, key: Option<&VolatileKey>, frame: Frame) -> (i64, i64) {
        self.conflate_within(key, frame, usize::MAX, usize::MAX)
    }

    /// As `replace`, but drops the least recently changed values until the rest, with this one,
    /// fits `max_bytes` and [`MAX_VOLATILE`] (S8). Returns by how many bytes and frames the queue
    /// grew.
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

    /// Waiting bytes of all classes, and the number of their frames.
    pub(super) fn backlog(&self) -> (usize, usize) {
        let bytes: usize = self.frames.iter().map(|entry| entry.frame.len()).sum();
        let (conflated, values) = self.conflated_size();
        (bytes + conflated - self.written, self.frames.len() + values)
    }

    /// Returns true if a live frame of `bytes` exceeds the bound. One always fits: a bound below
    /// the longest message must not close a client that keeps up.
    pub(super) fn is_over(&self, bytes: usize, max_bytes: usize) -> bool {
        self.bytes > 0 && self.bytes + bytes > max_bytes
    }

    /// The unwritten rest of the first frame.
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

    /// Drops `written` bytes from the front; returns how many frames this completes.
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
        // All ordered frames are written: queue the conflated values.
        if self.frames.is_empty() {
            for frame in self.conflated.take().into_iter().flat_map(|conflated| conflated.into_frames()) {
                self.volatile_bytes += frame.len();
                self.frames.push_back(QueuedFrame { frame, class: Class::Volatile });
            }
        }
        frames
    }

    /// Drops all frames except a partly written one, whose rest must follow: without it the peer
    /// would lose the framing.
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

    /// Drops the conflated values; returns their bytes and number. For a close frame, behind which
    /// no frame may go out (RFC 6455 section 5.5.1).
    pub(super) fn forget_conflated(&mut self) -> (usize, usize) {
        let size = self.conflated_size();
        self.conflated = None;
        size
    }

    /// Bytes and number of the conflated values.
    fn conflated_size(&self) -> (usize, usize) {
        self.conflated.as_ref().map_or((0, 0), |conflated| (conflated.bytes(), conflated.len()))
    }

    /// Drops the relayed frames of which nothing is written yet; returns their bytes and number.
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

    /// Number of relayed frames that are written, at least in part.
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
