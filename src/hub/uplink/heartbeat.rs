//! Owns the heartbeat toward one upstream connection: when to send one, and when a missing answer
//! means that the connection is dead.

use std::time::{Duration, Instant};

/// Invariant: `unanswered` is the time of the first heartbeat since the last answer.
pub(super) struct UpstreamHeartbeat {
    interval: Duration,
    timeout: Duration,
    next: Instant,
    unanswered: Option<Instant>,
}

impl UpstreamHeartbeat {
    pub(super) fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        // Never zero: a deadline that was met must lie in the past.
        let interval = interval.max(Duration::from_millis(1));
        Self { interval, timeout, next: now + interval, unanswered: None }
    }

    pub(super) fn answered(&mut self) {
        self.unanswered = None;
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Returns true if a heartbeat was not answered in time.
    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.unanswered.is_some_and(|since| since + self.timeout <= now)
    }

    /// Returns true once per interval, when a heartbeat is due; a late timer does not cause two.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.interval;
        self.unanswered.get_or_insert(now);
        true
    }

    pub(super) fn deadline(&self) -> Instant {
        self.unanswered.map_or(self.next, |since| self.next.min(since + self.timeout))
    }
}
