//! Owns the frames that a client may have missed: those of the upstream, numbered from 1, as far back as there is room.
//! Called by `line`; pure.

use std::collections::VecDeque;

use crate::ws::Frame;

/// The newest frames of a session. Memory is shared with the outbox in which they wait.
#[derive(Default)]
pub struct History {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// The number of the newest frame; 0 before the first.
    newest: u64,
    max_bytes: usize,
}

/// What a client gets that comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Missed {
    /// The first and the last number that are gone.
    pub lost: Option<(u64, u64)>,
    /// The number of the first frame that follows, be it kept or still to come.
    pub next: u64,
}

impl History {
    /// With `max_bytes` 0 it only counts.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// The next frame of the upstream.
    pub fn push(&mut self, frame: Frame) {
        self.newest += 1;
        if self.max_bytes > 0 {
            self.bytes += frame.len();
            self.frames.push_back(frame);
        }
    }

    /// Drops frames that the client's socket has taken, up to number `written`. Half of the room is kept for what comes while
    /// the client is away; what has not been written stays, whatever its size.
    pub fn trim(&mut self, written: u64) {
        while self.bytes > self.max_bytes / 2 && self.oldest() <= written {
            let Some(frame) = self.frames.pop_front() else { break };
            self.bytes -= frame.len();
        }
    }

    /// Whether there is room for what comes while the client is away.
    pub fn has_room(&self) -> bool {
        self.bytes < self.max_bytes
    }

    /// What follows for a client that has seen everything up to `seen`, which is not above the newest.
    pub fn missed_since(&self, seen: u64) -> Missed {
        let next = self.oldest().max(seen + 1);
        Missed { lost: (seen + 1 < next).then(|| (seen + 1, next - 1)), next }
    }

    /// The frames from number `next` on, oldest first.
    pub fn from(&self, next: u64) -> impl Iterator<Item = &Frame> {
        self.frames.iter().skip(next.saturating_sub(self.oldest()) as usize)
    }

    /// The number of the oldest frame that is kept, or of the next one to come.
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
        let mut history = History::new(0);
        (1..=3).for_each(|number| history.push(frame(number, 1)));
        assert_eq!((history.newest(), history.has_room()), (3, false));
        assert_eq!(history.missed_since(1), Missed { lost: Some((2, 3)), next: 4 });
        assert_eq!(history.missed_since(3), Missed { lost: None, next: 4 });
    }

    proptest! {
        #[test]
        fn whatever_was_not_written_is_there_and_nothing_is_named_both_lost_and_kept(
            steps in prop::collection::vec((0usize..60, any::<bool>()), 1..80),
            seen in any::<prop::sample::Index>(),
        ) {
            let mut history = History::new(400);
            let mut written = 0;
            for (length, is_written) in steps {
                history.push(frame(history.newest() + 1, length));
                if is_written {
                    written = history.newest();
                }
                history.trim(written);
                prop_assert!(history.bytes <= 200 || history.oldest() > written);
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
