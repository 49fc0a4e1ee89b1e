//! Owns the upstream's frames that a client may have missed, numbered from 1, as far back as there
//! is room; pure.

use std::collections::VecDeque;

use crate::ws::{Frame, frame};

/// The newest frames of a session. Their memory is shared with the outbox in which they wait.
#[derive(Default)]
pub(super) struct SessionHistory {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The number of the newest frame; 0 before the first.
    newest: u64,
    /// The number up to which the client is known to have received everything.
    received: u64,
    max_bytes: usize,
}

/// What a client that comes back has missed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MissedFrames {
    /// The first and the last number of the frames that are gone.
    pub lost: Option<(u64, u64)>,
    /// The number of the first frame that the client gets, kept or still to come.
    pub next: u64,
}

impl SessionHistory {
    /// With `max_bytes` 0, frames are counted but not kept.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds the next frame of the upstream.
    pub(super) fn push(&mut self, frame: Frame) {
        self.newest += 1;
        if self.max_bytes > 0 {
            self.bytes += frame::cost(frame.len());
            self.frames.push_back(frame);
        }
    }

    /// The cost of the frames that are kept, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns true if frames are kept at all.
    pub(super) fn keeps(&self) -> bool {
        self.max_bytes > 0
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The client has received everything up to this number. Call [`SessionHistory::trim`] next.
    pub(super) fn receive(&mut self, number: u64) {
        self.received = self.received.max(number.min(self.newest));
    }

    /// A client is given everything behind this number, perhaps again: what an earlier connection
    /// received of it does not count.
    pub(super) fn give_again(&mut self, behind: u64) {
        self.received = self.received.min(behind);
    }

    /// Drops old frames. An eighth of `max_bytes` is kept of what was received: a reloaded page may
    /// have seen less than its browser had received. Half is kept of what the client's socket has
    /// taken, up to number `written`; the other half is for frames that come while the client is
    /// away. Frames that were not written stay, whatever their size.
    pub(super) fn trim(&mut self, written: u64) {
        loop {
            let kept = match self.oldest() {
                oldest if oldest <= self.received => self.max_bytes / 8,
                oldest if oldest <= written => self.max_bytes / 2,
                _ => break,
            };
            if self.bytes <= kept {
                break;
            }
            let Some(frame) = self.frames.pop_front() else { break };
            self.bytes -= frame::cost(frame.len());
        }
    }

    /// Returns true if there is room for a frame while the client is away.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < self.max_bytes
    }

    /// Returns what a client gets that has seen everything up to `seen`, which is not above the
    /// newest.
    pub(super) fn missed_since(&self, seen: u64) -> MissedFrames {
        let next = self.oldest().max(seen + 1);
        MissedFrames { lost: (seen + 1 < next).then(|| (seen + 1, next - 1)), next }
    }

    /// Returns the frames from number `next` on, oldest first.
    pub(super) fn from(&self, next: u64) -> impl Iterator<Item = &Frame> {
        self.frames.iter().skip(next.saturating_sub(self.oldest()) as usize)
    }

    /// The number of the oldest kept frame, or of the next frame if none is kept.
    fn oldest(&self) -> u64 {
        self.newest + 1 - self.frames.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(number: u64, length: usize) -> Frame {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(8 + length, 0);
        bytes.into()
    }

    fn numbers<'a>(frames: impl Iterator<Item = &'a Frame>) -> Vec<u64> {
        frames.map(|frame| u64::from_be_bytes(*frame.first_chunk().expect("a number"))).collect()
    }

    #[test]
    fn without_room_it_only_counts_and_says_what_is_gone() {
        let mut history = SessionHistory::new(0);
        (1..=3).for_each(|number| history.push(frame(number, 1)));
        assert_eq!((history.newest(), history.has_room()), (3, false));
        assert_eq!(history.missed_since(1), MissedFrames { lost: Some((2, 3)), next: 4 });
        assert_eq!(history.missed_since(3), MissedFrames { lost: None, next: 4 });
    }

    #[test]
    fn frames_without_a_payload_are_bounded_too() {
        let mut history = SessionHistory::new(1000);
        for _ in 0..1000 {
            history.push(Frame::from([0x81, 0]));
            history.trim(history.newest());
        }
        assert!(history.bytes() <= 500 && history.from(0).count() <= 10, "{} frames", history.from(0).count());
    }

    #[test]
    fn of_what_was_received_a_small_part_is_kept_and_of_what_was_only_written_half() {
        let mut history = SessionHistory::new(1600);
        (1..=20).for_each(|number| history.push(frame(number, 44)));
        history.trim(0);
        assert_eq!(history.bytes(), 2000, "what was not written stays");
        history.trim(20);
        assert_eq!(history.bytes(), 800);
        history.receive(16);
        history.trim(20);
        assert_eq!(history.missed_since(0).next, 17, "4 frames, more than an eighth, are not known to be received");
        history.receive(99);
        history.trim(20);
        assert_eq!((history.bytes(), history.received()), (200, 20));
        assert_eq!(numbers(history.from(19)), [19, 20]);
        history.receive(3);
        assert_eq!(history.received(), 20);
        history.give_again(19);
        history.push(frame(21, 144));
        history.trim(19);
        assert_eq!(numbers(history.from(0)), [20, 21], "what goes out again stays until it is written");
    }

    /// What happens behind each frame.
    #[derive(Debug, Clone, Copy)]
    enum Then {
        Nothing,
        /// The socket has taken everything.
        Written,
        /// The client has received everything that was written.
        Received,
    }

    proptest! {
        #[test]
        fn whatever_was_not_written_is_there_and_nothing_is_named_both_lost_and_kept(
            steps in prop::collection::vec(
                (0usize..60, prop::sample::select(&[Then::Nothing, Then::Written, Then::Received][..])), 1..80),
            seen in any::<prop::sample::Index>(),
        ) {
            let mut history = SessionHistory::new(400);
            let (mut written, mut received, mut longest) = (0, 0, 0);
            for (length, then) in steps {
                history.push(frame(history.newest() + 1, length));
                longest = longest.max(frame::cost(8 + length));
                match then {
                    Then::Nothing => {}
                    Then::Written => written = history.newest(),
                    Then::Received => {
                        received = written;
                        history.receive(written);
                    }
                }
                history.trim(written);
                prop_assert!(history.bytes <= 200 || history.oldest() > written);
                prop_assert!(history.bytes <= 50 || history.oldest() > received);
                prop_assert!(history.oldest() == 1 || history.bytes + longest > 50, "the tail stays");
                prop_assert_eq!(history.bytes, history.frames.iter().map(|kept| frame::cost(kept.len())).sum::<usize>());
            }
            let seen = seen.index(history.newest() as usize + 1) as u64;
            let missed = history.missed_since(seen);
            prop_assert_eq!(numbers(history.from(missed.next)), (missed.next..=history.newest()).collect::<Vec<_>>());
            match missed.lost {
                Some((first, last)) => prop_assert!(first == seen + 1 && last == missed.next - 1 && last <= written),
                None => prop_assert_eq!(missed.next, seen + 1),
            }
        }
    }
}
