//! Owns the heartbeat toward one upstream connection: when to ask, and when silence means that it
//! is dead.

use std::time::{Duration, Instant};

/// Invariant: `unanswered` is the first question since the last answer.
pub struct UpstreamHeartbeat {
    interval: Duration,
    timeout: Duration,
    next: Instant,
    unanswered: Option<Instant>,
}

impl UpstreamHeartbeat {
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        // Never zero: a deadline that has been met must lie behind.
        let interval = interval.max(Duration::from_millis(1));
        Self { interval, timeout, next: now + interval, unanswered: None }
    }

    pub fn answered(&mut self) {
        self.unanswered = None;
    }

    pub fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Whether a question was not answered in time.
    pub fn is_dead(&self, now: Instant) -> bool {
        self.unanswered.is_some_and(|since| since + self.timeout <= now)
    }

    /// Whether to ask now; says so once per interval, and not twice for a late timer.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.interval;
        self.unanswered.get_or_insert(now);
        true
    }

    pub fn deadline(&self) -> Instant {
        self.unanswered.map_or(self.next, |since| self.next.min(since + self.timeout))
    }
}
