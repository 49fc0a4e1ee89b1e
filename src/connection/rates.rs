//! Owns the rates of one connection (S5, S5a): frames, and bytes of their payloads.

use std::time::{Duration, Instant};

use crate::{config::ConnectionConfig, gate::TokenBucket};

pub(super) struct Rates {
    frames: TokenBucket,
    bytes: TokenBucket,
}

impl Rates {
    pub(super) fn new(limits: &ConnectionConfig, now: Instant) -> Self {
        Self {
            frames: TokenBucket::new(limits.message_rate, limits.message_burst, now),
            bytes: TokenBucket::new(limits.byte_rate, limits.byte_burst, now),
        }
    }

    /// Counts a frame.
    ///
    /// # Errors
    /// The frame exceeds a rate. The text names the settings.
    pub(super) fn take(&mut self, payload_bytes: usize, now: Instant) -> Result<(), &'static str> {
        if !self.frames.take(1, now) {
            return Err("more frames than MESSAGE_RATE a second and MESSAGE_BURST at once");
        }
        if !self.bytes.take(tokens(payload_bytes), now) {
            return Err("more bytes than BYTE_RATE a second and BYTE_BURST at once");
        }
        Ok(())
    }

    /// Counts a frame that passes in any case. Returns how long to wait until both rates are kept
    /// again.
    pub(super) fn overdraw(&mut self, payload_bytes: usize, now: Instant) -> Duration {
        self.frames.overdraw(1, now).max(self.bytes.overdraw(tokens(payload_bytes), now))
    }
}

fn tokens(payload_bytes: usize) -> u32 {
    u32::try_from(payload_bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(now: Instant) -> Rates {
        let defaults = crate::config::Config::default().connection;
        let limits =
            ConnectionConfig { message_rate: 10, message_burst: 5, byte_rate: 1000, byte_burst: 2000, ..defaults };
        Rates::new(&limits, now)
    }

    #[test]
    fn s5a_bytes_and_frames_are_bounded_each_for_itself() {
        let now = Instant::now();
        let mut rates = rates(now);
        assert_eq!(rates.take(2000, now), Ok(()), "the burst in one frame");
        assert!(rates.take(1, now).is_err_and(|why| why.contains("BYTE_RATE")));
        (0..3).for_each(|_| assert_eq!(rates.take(0, now), Ok(()), "a frame without bytes costs none"));
        assert!(rates.take(0, now).is_err_and(|why| why.contains("MESSAGE_RATE")));
        assert_eq!(rates.take(1000, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn s5a_whoever_is_slowed_down_gets_exactly_its_rate() {
        let start = Instant::now();
        let (mut rates, mut now, mut sent) = (rates(start), start, 0);
        while now < start + Duration::from_secs(100) {
            sent += 500;
            now += rates.overdraw(500, now);
        }
        assert_eq!(sent, 2000 + 100 * 1000, "the burst, then the rate");
        let longest = rates.overdraw(16 << 20, now);
        assert!(longest >= Duration::from_secs(16_000), "one message over the burst waits for all of it: {longest:?}");
    }
}
