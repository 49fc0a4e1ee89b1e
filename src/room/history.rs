//! Owns the tail of a room's log in memory: events with their ready-made frames, bounded by count,
//! bytes and age.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    audience::{Audience, cost_of},
    ledger::Account,
};
use crate::{
    protocol::{DisplayName, PlayerId, server::write_named},
    ws::{Frame, frame::payload, json_frame},
};

/// What a frame takes besides its bytes: the counts in front of them.
const FRAME_OVERHEAD: usize = 2 * size_of::<usize>();

/// One entry of a room's log.
#[derive(Debug, Clone)]
pub struct Event {
    pub seq: u64,
    /// Where its record is in the room's log; known once it is written.
    pub position: u64,
    pub made: Instant,
    /// The same in milliseconds since 1970, as it was told then.
    pub made_ms: u64,
    /// A change of the document.
    pub is_patch: bool,
    pub audience: Audience,
    /// Who sent it and its `id`, when it has one: what an `ack` looks up (S2).
    pub request: Option<(PlayerId, u64)>,
    /// What a `presence` says to those who want names (S11).
    pub name: Option<DisplayName>,
    /// The frame every member gets, but for the name.
    pub frame: Frame,
}

impl Event {
    /// Bytes that it takes in a history: all of it, not only its frame.
    pub fn cost(&self) -> usize {
        let request = self.request.as_ref().map_or(0, |(from, _)| cost_of(from));
        let name = self.name.as_ref().map_or(0, DisplayName::cost);
        size_of::<Self>() + FRAME_OVERHEAD + self.frame.len() + self.audience.cost() + request + name
    }

    /// The frame for those who want names, where it is another one.
    pub fn named_frame(&self) -> Option<Frame> {
        let name = self.name.as_ref()?;
        Some(json_frame(|out| write_named(out, payload(&self.frame), name)))
    }
}

/// The three bounds; the oldest event goes first, whichever is reached.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_events: usize,
    pub max_bytes: usize,
    pub max_age: Duration,
}

/// Consecutive events, oldest first. Invariant: `seq`s have no gap.
pub struct History {
    events: VecDeque<Event>,
    bytes: usize,
    /// The newest `seq` that is no longer here; 0 when nothing was dropped.
    dropped: u64,
    /// Where the record behind that event is in the log.
    dropped_until: u64,
    bounds: Bounds,
    /// Its part of what all histories take (S14).
    account: Option<Account>,
}

/// What a client that saw everything up to some `seq` has missed.
#[derive(Debug, PartialEq, Eq)]
pub enum MissedEvents {
    /// All of it is here, possibly nothing.
    All,
    /// These are gone, first and last `seq`.
    Lost(u64, u64),
    /// The client claims a `seq` this room has not reached: its past is not ours.
    Ahead,
}

impl History {
    pub fn new(bounds: Bounds) -> Self {
        Self { events: VecDeque::new(), bytes: 0, dropped: 0, dropped_until: 0, bounds, account: None }
    }

    /// The history of a room that is open again: what its log has, up to `newest`.
    pub fn restore(bounds: Bounds, events: Vec<Event>, newest: u64, now: Instant) -> Self {
        let mut history = Self::new(bounds);
        history.dropped = events.first().map_or(newest, |event| event.seq - 1);
        history.bytes = events.iter().map(Event::cost).sum();
        history.events = events.into();
        history.trim(now);
        history
    }

    /// From where on the room's log is still needed.
    pub fn keep_from(&self) -> u64 {
        self.events.front().map_or(self.dropped_until, |event| event.position)
    }

    pub fn push(&mut self, event: Event) {
        debug_assert_eq!(event.seq, self.newest() + 1);
        self.bytes += event.cost();
        let now = event.made;
        // Most rooms are small and quiet.
        if self.events.capacity() == 0 {
            self.events.reserve_exact(2);
        }
        self.events.push_back(event);
        self.drop_outdated(now);
        self.tell_account(Some(now));
    }

    /// Drops what is too old, and what is over the other bounds.
    pub fn trim(&mut self, now: Instant) {
        self.drop_outdated(now);
        self.tell_account(None);
    }

    /// From now on it counts towards what all histories take.
    pub fn attach(&mut self, account: Account) {
        self.account = Some(account);
        self.tell_account(self.events.back().map(|event| event.made));
    }

    /// Drops the oldest events until so many bytes are gone: all histories together take too much (S14).
    pub fn cut(&mut self, bytes: usize) {
        let target = self.bytes.saturating_sub(bytes);
        while self.bytes > target && self.drop_oldest() {}
        self.events.shrink_to_fit();
        self.tell_account(None);
        if let Some(account) = &self.account {
            account.settle(bytes);
        }
    }

    fn drop_outdated(&mut self, now: Instant) {
        while let Some(oldest) = self.events.front() {
            let over = self.events.len() > self.bounds.max_events
                || self.bytes > self.bounds.max_bytes
                || now.saturating_duration_since(oldest.made) > self.bounds.max_age;
            if !over {
                break;
            }
            self.drop_oldest();
        }
        // The places of events that are gone count towards no bound. A quarter and a half, so that a
        // history that stays about as long is not copied again and again.
        if self.events.len() < self.events.capacity() / 4 {
            self.events.shrink_to((2 * self.events.len()).max(2));
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.events.pop_front() else { return false };
        self.bytes -= oldest.cost();
        self.dropped = oldest.seq;
        self.dropped_until = oldest.position + 1;
        true
    }

    fn tell_account(&self, newest: Option<Instant>) {
        if let Some(account) = &self.account {
            if let Some(made) = newest {
                account.touch(made);
            }
            account.set(self.bytes);
        }
    }

    /// Events that are kept.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// What the kept events take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest `seq` that is kept, or the next one when none is.
    pub fn first_seq(&self) -> u64 {
        self.dropped + 1
    }

    /// The `seq` of the newest event ever pushed; 0 before the first.
    pub fn newest(&self) -> u64 {
        self.events.back().map_or(self.dropped, |event| event.seq)
    }

    /// What is missing for a client whose last seen event is `seen`.
    pub fn missed(&self, seen: u64) -> MissedEvents {
        if seen > self.newest() {
            MissedEvents::Ahead
        } else if seen < self.dropped {
            MissedEvents::Lost(seen + 1, self.dropped)
        } else {
            MissedEvents::All
        }
    }

    /// The events after `seen`, oldest first.
    pub fn after(&self, seen: u64) -> impl Iterator<Item = &Event> {
        let skip = seen.saturating_sub(self.dropped).min(self.events.len() as u64);
        self.events.range(skip as usize..)
    }

    /// Where the request with this `id` was applied, if that is still here. Newest first: repeats are recent.
    pub fn seq_of(&self, player: &PlayerId, id: u64) -> Option<u64> {
        self.events
            .iter()
            .rev()
            .find(|event| event.request.as_ref().is_some_and(|(from, known)| *known == id && from == player))
            .map(|event| event.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, made: Instant) -> Event {
        let frame = Frame::from(&b"0123456789"[..]);
        Event {
            seq,
            position: seq,
            made,
            made_ms: 0,
            is_patch: false,
            audience: Audience::Everyone,
            request: None,
            name: None,
            frame,
        }
    }

    fn history(max_events: usize, max_bytes: usize) -> History {
        History::new(Bounds { max_events, max_bytes, max_age: Duration::from_secs(10) })
    }

    #[test]
    fn r3_what_is_kept_is_missed_in_full_and_what_is_dropped_is_named() {
        let now = Instant::now();
        let mut log = history(3, 1000);
        (1..=5).for_each(|seq| log.push(event(seq, now)));
        assert_eq!(log.missed(5), MissedEvents::All);
        assert_eq!(log.missed(2), MissedEvents::All);
        assert_eq!(log.missed(1), MissedEvents::Lost(2, 2));
        assert_eq!(log.missed(0), MissedEvents::Lost(1, 2));
        assert_eq!(log.missed(6), MissedEvents::Ahead);
        assert_eq!(log.after(3).map(|e| e.seq).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(log.after(0).map(|e| e.seq).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(log.after(5).count(), 0);
    }

    #[test]
    fn r3_a_restored_history_knows_what_is_gone() {
        let now = Instant::now();
        let bounds = Bounds { max_events: 3, max_bytes: 1000, max_age: Duration::from_secs(10) };
        let log = History::restore(bounds, (6..=10).map(|seq| event(seq, now)).collect(), 10, now);
        assert_eq!((log.newest(), log.missed(7), log.missed(6)), (10, MissedEvents::All, MissedEvents::Lost(7, 7)));
        assert_eq!(log.keep_from(), 8);
        let empty = History::restore(bounds, Vec::new(), 10, now);
        assert_eq!(
            (empty.newest(), empty.missed(10), empty.missed(9)),
            (10, MissedEvents::All, MissedEvents::Lost(10, 10))
        );
    }

    #[test]
    fn s14_a_history_that_has_become_short_gives_its_memory_back() {
        let now = Instant::now();
        let mut log = history(1000, 1 << 20);
        (1..=1000).for_each(|seq| log.push(event(seq, now)));
        log.push(event(1001, now + Duration::from_secs(60)));
        assert_eq!(log.len(), 1);
        assert!(log.events.capacity() <= 8, "places for {} events", log.events.capacity());
        (1002..=1100).for_each(|seq| log.push(event(seq, now + Duration::from_secs(60))));
        assert_eq!((log.len(), log.missed(1000)), (100, MissedEvents::All));
        log.trim(now + Duration::from_secs(120));
        assert!(log.events.capacity() <= 8, "places for {} events", log.events.capacity());
    }

    #[test]
    fn each_of_the_three_bounds_drops_the_oldest() {
        let now = Instant::now();
        let mut by_bytes = history(100, 2 * event(1, now).cost() + 5);
        (1..=5).for_each(|seq| by_bytes.push(event(seq, now)));
        assert_eq!(by_bytes.missed(3), MissedEvents::All);
        assert_eq!(by_bytes.missed(2), MissedEvents::Lost(3, 3));
        let mut by_age = history(100, 1000);
        by_age.push(event(1, now));
        by_age.push(event(2, now + Duration::from_secs(11)));
        assert_eq!(by_age.missed(0), MissedEvents::Lost(1, 1));
        by_age.trim(now + Duration::from_secs(60));
        assert_eq!(
            (by_age.newest(), by_age.missed(2), by_age.missed(1)),
            (2, MissedEvents::All, MissedEvents::Lost(2, 2))
        );
    }
}
