//! Owns the heartbeat of one connection (B1): when to send a ping, and when an unanswered one means
//! that the peer is gone.

use std::time::{Duration, Instant};

/// `WS_PING_INTERVAL` and `WS_PING_TIMEOUT`. Kept outside of [`Heartbeat`], as all connections
/// share them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    pub interval: Duration,
    pub timeout: Duration,
}

/// Invariant: `unanswered` is the time of the first ping since the peer's last frame.
pub(super) struct Heartbeat {
    next_ping: Instant,
    unanswered: Option<Instant>,
}

impl Heartbeat {
    pub(super) fn new(rhythm: Rhythm, now: Instant) -> Self {
        Self { next_ping: now + rhythm.interval, unanswered: None }
    }

    /// Records that a frame of any kind arrived.
    pub(super) fn alive(&mut self) {
        self.unanswered = None;
    }

    /// Returns whether a ping has been unanswered for the timeout.
    pub(super) fn is_dead(&self, rhythm: Rhythm, now: Instant) -> bool {
        self.unanswered.is_some_and(|since| since + rhythm.timeout <= now)
    }

    /// Returns whether to send a ping now: `true` once per interval.
    pub(super) fn ping_is_due(&mut self, rhythm: Rhythm, now: Instant) -> bool {
        if now < self.next_ping {
            return false;
        }
        // The `max` prevents a burst of pings after a late timer.
        self.next_ping = (self.next_ping + rhythm.interval).max(now);
        self.unanswered.get_or_insert(now);
        true
    }

    pub(super) fn next_deadline(&self, rhythm: Rhythm) -> Instant {
        match self.unanswered {
            Some(since) => self.next_ping.min(since + rhythm.timeout),
            None => self.next_ping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);
    const TIMEOUT: Duration = Duration::from_secs(10);
    const RHYTHM: Rhythm = Rhythm { interval: INTERVAL, timeout: TIMEOUT };

    #[test]
    fn b1_a_peer_that_says_nothing_is_dead_one_timeout_after_the_ping() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(RHYTHM, start);
        assert!(!heartbeat.ping_is_due(RHYTHM, start + INTERVAL - Duration::from_millis(1)));
        assert!(heartbeat.ping_is_due(RHYTHM, start + INTERVAL));
        assert_eq!(heartbeat.next_deadline(RHYTHM), start + INTERVAL + TIMEOUT);
        assert!(!heartbeat.is_dead(RHYTHM, start + INTERVAL + TIMEOUT - Duration::from_millis(1)));
        assert!(heartbeat.is_dead(RHYTHM, start + INTERVAL + TIMEOUT));
    }

    #[test]
    fn b1_any_sign_of_life_answers_the_ping() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(RHYTHM, start);
        assert!(heartbeat.ping_is_due(RHYTHM, start + INTERVAL));
        heartbeat.alive();
        assert!(!heartbeat.is_dead(RHYTHM, start + INTERVAL + TIMEOUT));
        assert_eq!(heartbeat.next_deadline(RHYTHM), start + INTERVAL * 2);
    }

    #[test]
    fn b1_a_timeout_longer_than_the_interval_counts_from_the_first_unanswered_ping() {
        let start = Instant::now();
        let slow = Rhythm { interval: TIMEOUT, timeout: INTERVAL };
        let mut heartbeat = Heartbeat::new(slow, start);
        assert!(heartbeat.ping_is_due(slow, start + TIMEOUT));
        assert!(heartbeat.ping_is_due(slow, start + TIMEOUT * 2));
        assert!(!heartbeat.is_dead(slow, start + TIMEOUT * 3));
        assert!(heartbeat.is_dead(slow, start + TIMEOUT + INTERVAL));
    }
}
