//! Owns the heartbeat of one connection (B1): when to ping, and when silence means the peer is gone.
//! Called by `connection::machine`.

use std::time::{Duration, Instant};

/// Invariant: `unanswered` is the first ping since the last sign of life.
pub struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    unanswered: Option<Instant>,
}

impl Heartbeat {
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, next_ping: now + interval, unanswered: None }
    }

    /// A frame of any kind came.
    pub fn alive(&mut self) {
        self.unanswered = None;
    }

    /// Whether a ping went unanswered for the timeout.
    pub fn is_dead(&self, now: Instant) -> bool {
        self.unanswered.is_some_and(|since| since + self.timeout <= now)
    }

    /// Whether to ping now; says so once per interval.
    pub fn ping_is_due(&mut self, now: Instant) -> bool {
        if now < self.next_ping {
            return false;
        }
        // A late timer must not cause a burst of pings.
        self.next_ping = (self.next_ping + self.interval).max(now);
        self.unanswered.get_or_insert(now);
        true
    }

    pub fn next_deadline(&self) -> Instant {
        match self.unanswered {
            Some(since) => self.next_ping.min(since + self.timeout),
            None => self.next_ping,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);
    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn b1_a_peer_that_says_nothing_is_dead_one_timeout_after_the_ping() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(INTERVAL, TIMEOUT, start);
        assert!(!heartbeat.ping_is_due(start + INTERVAL - Duration::from_millis(1)));
        assert!(heartbeat.ping_is_due(start + INTERVAL));
        assert_eq!(heartbeat.next_deadline(), start + INTERVAL + TIMEOUT);
        assert!(!heartbeat.is_dead(start + INTERVAL + TIMEOUT - Duration::from_millis(1)));
        assert!(heartbeat.is_dead(start + INTERVAL + TIMEOUT));
    }

    #[test]
    fn b1_any_sign_of_life_answers_the_ping() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(INTERVAL, TIMEOUT, start);
        assert!(heartbeat.ping_is_due(start + INTERVAL));
        heartbeat.alive();
        assert!(!heartbeat.is_dead(start + INTERVAL + TIMEOUT));
        assert_eq!(heartbeat.next_deadline(), start + INTERVAL * 2);
    }

    #[test]
    fn b1_a_timeout_longer_than_the_interval_counts_from_the_first_unanswered_ping() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(TIMEOUT, INTERVAL, start);
        assert!(heartbeat.ping_is_due(start + TIMEOUT));
        assert!(heartbeat.ping_is_due(start + TIMEOUT * 2));
        assert!(!heartbeat.is_dead(start + TIMEOUT * 3));
        assert!(heartbeat.is_dead(start + TIMEOUT + INTERVAL));
    }
}
