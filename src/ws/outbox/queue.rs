//! Owns the queued frames of one outbox: their order, byte counts by class, and conflation of
//! volatile values (S8); no I/O.

use std::{collections::VecDeque, io::IoSlice, time::Instant};

use super::{conflated::Conflated, policy::ValueKey};
use crate::ws::frame::{self, Frame};

/// Frames in one vectored write. Linux takes 1024; past 64 the cost of the call no longer matters.
pub(super) const MAX_SLICES: usize = 64;
/// Distinct volatile values kept for a client that does not keep up, besides a bound of
/// `OUTBOX_BYTES` for them. Past it the least recently changed is dropped (S8).
pub(super) const MAX_VOLATILE: usize = 256;

#[derive(Default)]
pub(super) struct FrameQueue {
    frames: Frames,
    /// Bytes of the first frame that are already written.
    written: usize,
    /// Cost of the queued frames of each class with a bound. They are counted apart, so only live
    /// frames close a client as too slow.
    live_cost: usize,
    volatile_cost: usize,
    paced_cost: usize,
    /// Number of paced frames that were written completely, over the connection's life.
    paced_written: u64,
    /// Values that wait behind `frames`. `None` as long as the client keeps up.
    conflated: Option<Box<Conflated>>,
    /// The socket took less than was offered; writing goes on when it is writable.
    is_blocked: bool,
    /// The `made` time of the last topic update that was queued while the client kept up. Updates
    /// with the same time may follow it.
    together: Option<Instant>,
    /// When the oldest queued frame was made.
    since: Option<Instant>,
}

/// Queued frames, oldest first.
pub(in crate::ws) type Frames = VecDeque<QueuedFrame>;

pub(in crate::ws) struct QueuedFrame {
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
    /// A bound of its own; past it the sender waits.
    Paced,
}

impl FrameQueue {
    pub(super) fn append(&mut self, frame: Frame, class: Class, made: Instant) {
        self.since.get_or_insert(made);
        self.push(frame, class);
    }

    fn push(&mut self, frame: Frame, class: Class) {
        if let Some(cost) = self.cost_mut(class) {
            *cost += frame::cost(frame.len());
        }
        self.frames.push_back(QueuedFrame { frame, class });
    }

    fn cost_mut(&mut self, class: Class) -> Option<&mut usize> {
        match class {
            Class::Live => Some(&mut self.live_cost),
            Class::Volatile => Some(&mut self.volatile_cost),
            Class::Paced => Some(&mut self.paced_cost),
            Class::CatchUp => None,
        }
    }

    /// Returns true if no frame waits. Conflated values only wait behind frames.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    pub(super) fn set_blocked(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
    }

    /// Returns true if the queue needs memory for its next frame.
    pub(super) fn needs_slots(&self) -> bool {
        self.frames.capacity() == 0
    }

    /// Takes the memory of an emptied queue.
    pub(super) fn use_slots(&mut self, frames: Frames) {
        self.frames = frames;
    }

    /// Gives up the memory of an empty queue. Also returns when the first frame since the queue was
    /// last empty was made.
    pub(super) fn finish(&mut self) -> (Frames, Option<Instant>) {
        (std::mem::take(&mut self.frames), self.since.take())
    }

    /// Returns true if a volatile value of `cost` may be queued in order with everything else.
    pub(super) fn keeps_up(&self, cost: usize, max_bytes: usize) -> bool {
        // While values are conflated, none may go before them: an older value of the same key would
        // come after this one.
        let is_behind = self.is_blocked || self.conflated.is_some();
        !is_behind && (self.volatile_cost == 0 || self.volatile_cost + cost <= max_bytes)
    }

    /// Returns true if only the bound makes [`FrameQueue::keeps_up`] false.
    pub(super) fn is_much(&self, cost: usize, max_bytes: usize) -> bool {
        !self.is_blocked && self.conflated.is_none() && !self.keeps_up(cost, max_bytes)
    }

    /// As [`FrameQueue::keeps_up`], for topics: also takes an update that was made together with
    /// one that the client took while it kept up, even if the socket is blocked by now.
    pub(super) fn takes_update(&mut self, cost: usize, max_bytes: usize, made: Instant) -> bool {
        if self.keeps_up(cost, max_bytes) {
            self.together = Some(made);
            return true;
        }
        self.together == Some(made) && self.conflated.is_none() && self.volatile_cost + cost <= max_bytes
    }

    /// Returns true if values wait until everything ordered is written.
    pub(super) fn has_conflated(&self) -> bool {
        self.conflated.is_some()
    }

    /// Returns true if [`FrameQueue::replace`] would stay within the bound. One value always fits.
    pub(super) fn has_room(&self, key: Option<&ValueKey>, cost: usize, max_bytes: usize) -> bool {
        let Some(conflated) = &self.conflated else { return true };
        let own = key.map_or(0, |key| conflated.cost_of(key));
        let others = conflated.cost() - own;
        others == 0 || others + cost <= max_bytes
    }

    /// Drops the value of one key; returns its bytes, and 1 if there was one.
    pub(super) fn forget(&mut self, key: &ValueKey) -> (usize, usize) {
        let Some(conflated) = &mut self.conflated else { return (0, 0) };
        let Some(value) = conflated.remove(key) else { return (0, 0) };
        if conflated.len() == 0 {
            self.conflated = None;
        }
        (value.len(), 1)
    }

    /// Puts a frame behind everything that waits, with a key in place of that key's earlier value.
    /// Drops nothing else. Returns by how many bytes and frames the queue grew.
    pub(super) fn replace(&mut self, key: Option<&ValueKey>, frame: Frame) -> (i64, i64) {
        self.conflate_within(key, frame, usize::MAX, usize::MAX)
    }

    /// As `replace`, but drops the least recently changed values until the rest, with this one,
    /// fits `max_bytes` and [`MAX_VOLATILE`] (S8). Returns by how many bytes and frames the queue
    /// grew.
    pub(super) fn conflate(&mut self, key: &ValueKey, frame: Frame, max_bytes: usize) -> (i64, i64) {
        self.conflate_within(Some(key), frame, MAX_VOLATILE, max_bytes)
    }

    fn conflate_within(
        &mut self,
        key: Option<&ValueKey>,
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
            conflated.len() >= max_values || conflated.cost().saturating_add(frame::cost(frame.len())) > max_bytes
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

    /// Returns true if a live frame of `cost` exceeds the bound. One always fits: a bound below
    /// the longest message must not close a client that keeps up.
    pub(super) fn is_over(&self, cost: usize, max_bytes: usize) -> bool {
        self.live_cost > 0 && self.live_cost + cost > max_bytes
    }

    /// Fills `slices` with what is to be written next; returns how many it filled.
    pub(super) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut count = 0;
        for (slice, entry) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&entry.frame[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// Returns the unwritten rest of the frame, if it is the only one.
    pub(super) fn only_slice(&self) -> Option<IoSlice<'_>> {
        let entry = self.frames.front().filter(|_| self.frames.len() == 1)?;
        Some(IoSlice::new(&entry.frame[self.written..]))
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
            self.paced_written += u64::from(class == Class::Paced);
            if let Some(cost) = self.cost_mut(class) {
                *cost -= frame::cost(length);
            }
            self.frames.pop_front();
        }
        self.written = left;
        // All ordered frames are written: queue the conflated values.
        if self.frames.is_empty() {
            for frame in self.conflated.take().into_iter().flat_map(|conflated| conflated.into_frames()) {
                self.push(frame, Class::Volatile);
            }
        }
        frames
    }

    /// Drops all frames except a partly written one, whose rest must follow: without it the peer
    /// would lose the framing.
    pub(super) fn release(&mut self) -> (usize, usize) {
        let (written, since) = (self.written, self.since);
        let partial = if written > 0 { self.frames.pop_front() } else { None };
        self.written = 0;
        let released = self.release_all();
        if let Some(QueuedFrame { frame, class }) = partial {
            self.push(frame, class);
            (self.written, self.since) = (written, since);
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

    /// Cost of the paced frames that wait.
    pub(super) fn paced_cost(&self) -> usize {
        self.paced_cost
    }

    pub(super) fn paced_written(&self) -> u64 {
        self.paced_written
    }

    /// Drops the paced frames of which nothing is written yet; returns their bytes and number.
    pub(super) fn release_paced(&mut self) -> (usize, usize) {
        let frames = self.frames.len();
        let mut may_drop = self.written == 0;
        let (mut dropped, mut left) = (0, 0);
        self.frames.retain(|entry| {
            let stays = entry.class != Class::Paced || !may_drop;
            may_drop = true;
            if !stays {
                dropped += entry.frame.len();
            } else if entry.class == Class::Paced {
                left += frame::cost(entry.frame.len());
            }
            stays
        });
        self.paced_cost = left;
        (dropped, frames - self.frames.len())
    }

    /// Number of paced frames that are written, at least in part.
    pub(super) fn paced_begun(&self) -> u64 {
        let is_begun = self.written > 0 && self.frames.front().is_some_and(|entry| entry.class == Class::Paced);
        self.paced_written + u64::from(is_begun)
    }

    pub(super) fn release_all(&mut self) -> (usize, usize) {
        let ordered: usize = self.frames.iter().map(|entry| entry.frame.len()).sum();
        let (conflated, values) = self.conflated_size();
        let queued = ordered + conflated;
        let frames = self.frames.len() + values;
        let written = self.written;
        *self = Self { is_blocked: self.is_blocked, paced_written: self.paced_written, ..Self::default() };
        (queued.saturating_sub(written), frames)
    }
}
