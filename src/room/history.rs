//! Owns the tail of a room's log in memory: events with the texts that members get, bounded by
//! count, bytes and age.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{
    audience::{Audience, cost_of},
    ledger::Account,
    text::MemberText,
};
use crate::protocol::{DisplayName, PlayerId, server::write_named};

/// The memory that a text takes besides its bytes: the counts in front of them.
const TEXT_OVERHEAD: usize = 2 * size_of::<usize>();

/// One event of a room's log.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub seq: u64,
    /// The position of its record in the room's log.
    pub position: u64,
    pub made: Instant,
    /// The wall-clock time of `made`, in milliseconds since 1970.
    pub made_ms: u64,
    /// The event changes the document.
    pub is_patch: bool,
    pub audience: Audience,
    /// The sender and the request's `id`, if it has one. An `ack` looks up the event by it (S2).
    pub request: Option<(PlayerId, u64)>,
    /// The display name of a `presence`, for connections that want names (S11).
    pub name: Option<DisplayName>,
    /// The text for members that do not want names.
    pub text: MemberText,
}

impl Event {
    /// Returns the bytes that the event takes in a history, including what its text does not hold.
    pub(crate) fn cost(&self) -> usize {
        let request = self.request.as_ref().map_or(0, |(from, _)| cost_of(from));
        let name = self.name.as_ref().map_or(0, DisplayName::cost);
        size_of::<Self>() + TEXT_OVERHEAD + self.text.bytes() + self.audience.cost() + request + name
    }

    /// Returns the text for connections that want names, if it differs.
    pub(crate) fn named_text(&self) -> Option<MemberText> {
        let name = self.name.as_ref()?;
        Some(MemberText::write(|out| write_named(out, self.text.json(), name)))
    }
}

/// The three bounds. When one is exceeded, the oldest event is dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub max_events: usize,
    pub max_bytes: usize,
    pub max_age: Duration,
}

/// Consecutive events, oldest first. Invariant: their `seq`s have no gap.
pub(crate) struct History {
    events: VecDeque<Event>,
    bytes: usize,
    /// The newest `seq` that was dropped; 0 when none was.
    dropped: u64,
    /// The first log position that is still needed after the dropped events.
    dropped_until: u64,
    bounds: Bounds,
    /// Its account with the ledger, which bounds the bytes of all histories (S14).
    account: Option<Account>,
}

/// What a client has missed since the last event it has seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MissedEvents {
    /// The history has every missed event, possibly none.
    All,
    /// The events between these `seq`s, both included, are gone.
    Lost(u64, u64),
    /// The client claims a `seq` that this room has not reached: it has seen another log.
    Ahead,
}

impl History {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { events: VecDeque::new(), bytes: 0, dropped: 0, dropped_until: 0, bounds, account: None }
    }

    /// Makes the history of a room that reopens, from the events of its log up to `newest`.
    pub(crate) fn restore(bounds: Bounds, events: Vec<Event>, newest: u64, now: Instant) -> Self {
        let mut history = Self::new(bounds);
        history.dropped = events.first().map_or(newest, |event| event.seq - 1);
        history.bytes = events.iter().map(Event::cost).sum();
        history.events = events.into();
        history.trim(now);
        history
    }

    /// Returns the first log position that the room still needs.
    pub(crate) fn keep_from(&self) -> u64 {
        self.events.front().map_or(self.dropped_until, |event| event.position)
    }

    pub(crate) fn push(&mut self, event: Event) {
        debug_assert_eq!(event.seq, self.newest() + 1);
        self.bytes += event.cost();
        let now = event.made;
        // Reserves two slots only, as most rooms are small and quiet.
        if self.events.capacity() == 0 {
            self.events.reserve_exact(2);
        }
        self.events.push_back(event);
        self.drop_outdated(now);
        self.update_account(Some(now));
    }

    /// Drops the events that exceed a bound.
    pub(crate) fn trim(&mut self, now: Instant) {
        self.drop_outdated(now);
        self.update_account(None);
    }

    /// Counts this history towards the bytes of all histories from now on.
    pub(crate) fn attach(&mut self, account: Account) {
        self.account = Some(account);
        self.update_account(self.events.back().map(|event| event.made));
    }

    /// Drops the oldest events until `bytes` bytes are freed, because all histories together exceed
    /// their bound (S14).
    pub(crate) fn cut(&mut self, bytes: usize) {
        let target = self.bytes.saturating_sub(bytes);
        while self.bytes > target && self.drop_oldest() {}
        self.events.shrink_to_fit();
        self.update_account(None);
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
        // No bound counts unused capacity, so it is freed: below a quarter, down to a half. The gap
        // between the two prevents repeated copies of a history whose length hardly changes.
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

    fn update_account(&self, newest: Option<Instant>) {
        if let Some(account) = &self.account {
            if let Some(made) = newest {
                account.touch(made);
            }
            account.set(self.bytes);
        }
    }

    /// Returns the number of kept events.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the bytes that the kept events take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the oldest kept `seq`, or the next `seq` if no event is kept.
    pub(crate) fn first_seq(&self) -> u64 {
        self.dropped + 1
    }

    /// Returns the `seq` of the newest event ever pushed; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.events.back().map_or(self.dropped, |event| event.seq)
    }

    /// Returns what a client has missed whose last seen event is `seen`.
    pub(crate) fn missed(&self, seen: u64) -> MissedEvents {
        if seen > self.newest() {
            MissedEvents::Ahead
        } else if seen < self.dropped {
            MissedEvents::Lost(seen + 1, self.dropped)
        } else {
            MissedEvents::All
        }
    }

    /// Returns the events after `seen`, oldest first.
    pub(crate) fn after(&self, seen: u64) -> impl Iterator<Item = &Event> {
        let skip = seen.saturating_sub(self.dropped).min(self.events.len() as u64);
        self.events.range(skip as usize..)
    }

    /// Returns the `seq` of the request with this `id`, if the history still has it. Searches the
    /// newest first, as repeats are recent.
    pub(crate) fn seq_of(&self, player: &PlayerId, id: u64) -> Option<u64> {
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
        let text = MemberText::write(|out| out.extend_from_slice(b"01234567"));
        Event {
            seq,
            position: seq,
            made,
            made_ms: 0,
            is_patch: false,
            audience: Audience::Everyone,
            request: None,
            name: None,
            text,
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
