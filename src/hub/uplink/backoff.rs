//! Owns when the next connection may be tried (H5): full jitter, cool-downs, refusals, and the
//! count of attempts.

use std::time::{Duration, Instant};

use crate::config::feeds::Backoff;

/// Outlives the connections, and also times without a client: a client that comes and goes must not
/// make the server hammer the upstream.
pub(super) struct Retry {
    backoff: Backoff,
    random: fastrand::Rng,
    /// Connections that failed or were lost since the last stable one.
    attempt: u32,
    /// The upstream refused for good, and no connection has been live since.
    is_fatal: bool,
    not_before: Option<Instant>,
    last_failure: Option<Instant>,
    live_since: Option<Instant>,
}

impl Retry {
    pub(super) fn new(backoff: Backoff, random: fastrand::Rng) -> Self {
        Self { backoff, random, attempt: 0, is_fatal: false, not_before: None, last_failure: None, live_since: None }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(super) fn is_fatal(&self) -> bool {
        self.is_fatal
    }

    /// The moment before which no connection may be tried, if it is in the future.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|moment| *moment > now)
    }

    pub(super) fn live(&mut self, now: Instant) {
        self.is_fatal = false;
        self.live_since = Some(now);
    }

    /// When the connection becomes stable; `None` if there is no attempt to reset.
    pub(super) fn stable_at(&self) -> Option<Instant> {
        self.live_since.filter(|_| self.attempt > 0).map(|since| since + self.backoff.stable_after)
    }

    /// Resets the count of attempts if the connection has been live for long enough.
    pub(super) fn notice_stable(&mut self, now: Instant) {
        if self.stable_at().is_some_and(|at| at <= now) {
            self.attempt = 0;
        }
    }

    /// A connection failed or was lost. Returns the pause until the next one, which is at least
    /// `pause`.
    pub(super) fn failed(&mut self, pause: Duration, now: Instant) -> Duration {
        self.notice_stable(now);
        let Backoff { base, max, .. } = self.backoff;
        let most = base.saturating_mul(2u32.saturating_pow(self.attempt)).min(max);
        let pause = most.mul_f64(self.random.f64()).max(pause);
        self.attempt = self.attempt.saturating_add(1);
        self.live_since = None;
        self.last_failure = Some(now);
        self.not_before = Some(now + pause);
        pause
    }

    /// Like [`Retry::failed`], for a refusal that another attempt would not change.
    pub(super) fn refused(&mut self, pause: Duration, now: Instant) -> Duration {
        let pause = self.failed(pause, now);
        self.is_fatal = true;
        pause
    }

    /// This side closes the connection, for no fault of the upstream.
    pub(super) fn ended(&mut self, now: Instant) {
        self.notice_stable(now);
        self.live_since = None;
    }

    /// A client is here again. Resets the count if the last failure is long past.
    pub(super) fn begin(&mut self, now: Instant) {
        let forget = |last: Instant| now >= last + self.backoff.stable_after && self.not_before(now).is_none();
        if self.last_failure.is_some_and(forget) {
            self.attempt = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(500),
        max: Duration::from_secs(30),
        stable_after: Duration::from_secs(60),
    };

    #[test]
    fn h5_pauses_fill_the_range_from_zero_to_twice_the_last_up_to_the_maximum() {
        let start = Instant::now();
        let mut longest = [Duration::ZERO; 12];
        let mut shortest = [Duration::MAX; 12];
        for seed in 0..400 {
            let mut retry = Retry::new(BACKOFF, fastrand::Rng::with_seed(seed));
            for attempt in 0..12 {
                let pause = retry.failed(Duration::ZERO, start);
                longest[attempt] = longest[attempt].max(pause);
                shortest[attempt] = shortest[attempt].min(pause);
            }
        }
        for attempt in 0..12 {
            let most = (BACKOFF.base * 2u32.pow(attempt as u32)).min(BACKOFF.max);
            assert!(longest[attempt] <= most && longest[attempt] > most.mul_f64(0.95), "{attempt}: {longest:?}");
            assert!(shortest[attempt] < most.mul_f64(0.05), "{attempt}: {shortest:?}");
        }
    }

    #[test]
    fn h5_only_a_stable_period_begins_the_count_anew() {
        let start = Instant::now();
        let mut retry = Retry::new(BACKOFF, fastrand::Rng::with_seed(1));
        retry.failed(Duration::ZERO, start);
        retry.live(start);
        retry.failed(Duration::ZERO, start + BACKOFF.stable_after - Duration::from_millis(1));
        assert_eq!(retry.attempt(), 2);
        retry.live(start);
        retry.failed(Duration::ZERO, start + BACKOFF.stable_after);
        assert_eq!(retry.attempt(), 1, "the count began anew, and this is its first");
        for _ in 0..100 {
            retry.failed(Duration::ZERO, start);
        }
        assert_eq!(retry.attempt(), 101, "and no number of them is too large");
    }

    #[test]
    fn h5_a_cool_down_is_never_shortened_and_outlives_the_clients() {
        let start = Instant::now();
        let pause = Duration::from_secs(90);
        let mut retry = Retry::new(BACKOFF, fastrand::Rng::with_seed(1));
        assert_eq!(retry.failed(pause, start), pause);
        retry.ended(start);
        let later = start + pause - Duration::from_millis(1);
        retry.begin(later);
        assert_eq!((retry.not_before(later), retry.attempt()), (Some(start + pause), 1));
        retry.begin(start + pause);
        assert_eq!((retry.not_before(start + pause), retry.attempt()), (None, 0));
    }
}
