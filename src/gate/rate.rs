//! Owns rate limits: connection attempts per address (A3), frames and bytes per connection (S5,
//! S5a).

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::address::limit_key;

/// How many expired windows an attempt removes: more than the one it can add, so that the table
/// shrinks.
const SWEEP: usize = 4;

/// Attempts per address, in a window that begins with the address's first attempt (A3).
///
/// The table is bounded: if it is full, the oldest window is dropped. A flood from many addresses
/// can thereby loosen the limit for a few, but cannot grow memory or lock anybody out. Each attempt
/// costs amortised O(1).
#[derive(Debug)]
pub(crate) struct RateLimiter {
    max_attempts: u32,
    window: Duration,
    max_addresses: usize,
    windows: HashMap<IpAddr, Window>,
    /// The start of every window, oldest first. The old entry of an address with a newer window
    /// stays until it is swept.
    begun: VecDeque<(IpAddr, Instant)>,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    attempts: u32,
}

impl RateLimiter {
    pub(crate) fn new(max_attempts: u32, window: Duration, max_addresses: usize) -> Self {
        let max_addresses = max_addresses.max(1);
        Self { max_attempts, window, max_addresses, windows: HashMap::new(), begun: VecDeque::new() }
    }

    /// Counts one attempt of an address (an IPv6 /64 counts as one).
    ///
    /// # Errors
    /// More than `max_attempts` in the window. The value is the time until the window ends, never
    /// zero.
    pub(crate) fn attempt(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        for _ in 0..SWEEP {
            let Some((_, begun)) = self.begun.front() else { break };
            if self.left(*begun, now).is_some() {
                break;
            }
            self.drop_oldest();
        }
        let key = limit_key(address);
        let live = self.windows.get(&key).and_then(|window| self.left(window.begun, now));
        match (live, self.windows.get_mut(&key)) {
            (Some(left), Some(window)) if window.attempts >= self.max_attempts => Err(left),
            (Some(_), Some(window)) => {
                window.attempts += 1;
                Ok(())
            }
            _ => self.begin(key, now),
        }
    }

    /// Returns the time until the window of an address without further attempts ends; `None` if it
    /// has attempts left.
    pub(crate) fn exhausted(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let window = self.windows.get(&limit_key(address)).filter(|window| window.attempts >= self.max_attempts)?;
        self.left(window.begun, now)
    }

    /// The number of addresses in the table, expired ones included.
    #[cfg(test)]
    fn addresses(&self) -> usize {
        self.windows.len()
    }

    fn begin(&mut self, key: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.max_attempts == 0 {
            return Err(self.window);
        }
        // This bounds the map too: each of its windows has an entry here.
        if self.begun.len() >= self.max_addresses {
            self.drop_oldest();
        }
        self.begun.push_back((key, now));
        self.windows.insert(key, Window { begun: now, attempts: 1 });
        Ok(())
    }

    fn drop_oldest(&mut self) {
        let Some((key, begun)) = self.begun.pop_front() else { return };
        if self.windows.get(&key).is_some_and(|window| window.begun == begun) {
            self.windows.remove(&key);
        }
    }

    /// Returns the rest of a window; `None` if it is over.
    fn left(&self, begun: Instant, now: Instant) -> Option<Duration> {
        self.window.checked_sub(now.saturating_duration_since(begun)).filter(|left| !left.is_zero())
    }
}

/// A token bucket (S5): `rate` tokens a second on average, `burst` at once. 24 bytes, as every
/// connection has two.
#[derive(Debug, Clone)]
pub(crate) struct TokenBucket {
    /// When the bucket will be full again, which is its whole state (the generic cell rate
    /// algorithm).
    full_at: Instant,
    rate: u32,
    burst: u32,
}

impl TokenBucket {
    /// Makes a full bucket. A `rate` (per second) or `burst` of 0 counts as 1.
    pub(crate) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self { full_at: now, rate: rate.max(1), burst: burst.max(1) }
    }

    /// Takes `tokens` tokens. Returns `false`, and takes none, if there are fewer.
    pub(crate) fn take(&mut self, tokens: u32, now: Instant) -> bool {
        let missing = self.full_at.saturating_duration_since(now) + self.time_for(tokens);
        if missing > self.time_for(self.burst) {
            return false;
        }
        self.full_at = now + missing;
        true
    }

    /// Takes `tokens` tokens, even if there are fewer. Returns the time until the missing ones have
    /// accrued.
    pub(crate) fn overdraw(&mut self, tokens: u32, now: Instant) -> Duration {
        let missing = self.full_at.saturating_duration_since(now) + self.time_for(tokens);
        self.full_at = now + missing;
        missing.saturating_sub(self.time_for(self.burst))
    }

    /// Returns how long the bucket takes to gain `tokens` tokens.
    fn time_for(&self, tokens: u32) -> Duration {
        // Cannot overflow: u32::MAX seconds have fewer nanoseconds than u64::MAX.
        Duration::from_nanos(u64::from(tokens) * 1_000_000_000 / u64::from(self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn a3_attempts_over_the_limit_are_told_when_to_retry() {
        let (mut limiter, start) = (RateLimiter::new(3, MINUTE, 10), Instant::now());
        for second in 0..3 {
            assert_eq!(limiter.attempt(address(1), start + Duration::from_secs(second)), Ok(()));
        }
        assert_eq!(limiter.attempt(address(1), start + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(limiter.attempt(address(2), start + Duration::from_secs(20)), Ok(()), "others are not affected");
    }

    #[test]
    fn a3_the_window_ends_on_time_even_under_constant_knocking() {
        let (mut limiter, start) = (RateLimiter::new(1, MINUTE, 10), Instant::now());
        limiter.attempt(address(1), start).unwrap();
        for second in 1..60 {
            assert!(limiter.attempt(address(1), start + Duration::from_secs(second)).is_err());
        }
        assert_eq!(limiter.attempt(address(1), start + MINUTE), Ok(()));
        assert_eq!(limiter.attempt(address(1), start + MINUTE), Err(MINUTE), "a new window has begun");
    }

    #[test]
    fn a3_an_ipv6_64_is_one_address() {
        let (mut limiter, now) = (RateLimiter::new(1, MINUTE, 10), Instant::now());
        limiter.attempt("2001:db8::1".parse().unwrap(), now).unwrap();
        assert!(limiter.attempt("2001:db8::2".parse().unwrap(), now).is_err());
    }

    #[test]
    fn a3_expired_windows_are_swept_before_the_table_is_full() {
        let (mut limiter, start) = (RateLimiter::new(1, MINUTE, 1000), Instant::now());
        for number in 0..100 {
            limiter.attempt(address(number), start).unwrap();
        }
        for number in 100..150 {
            limiter.attempt(address(number), start + MINUTE).unwrap();
        }
        assert_eq!(limiter.addresses(), 50);
    }

    #[test]
    fn a3_a_flood_of_addresses_drops_the_oldest_window_and_stays_bounded() {
        let (mut limiter, start) = (RateLimiter::new(1, MINUTE, 100), Instant::now());
        for number in 0..100_000_u32 {
            limiter.attempt(address(number), start + Duration::from_micros(number.into())).unwrap();
            assert!(limiter.windows.len() <= 100 && limiter.begun.len() <= 100);
        }
        assert!(limiter.attempt(address(99_999), start + Duration::from_secs(1)).is_err(), "the newest is remembered");
        assert!(limiter.attempt(address(0), start + Duration::from_secs(1)).is_ok(), "the oldest is not");
    }

    #[test]
    fn a3_a_window_that_began_anew_survives_the_sweep_of_its_old_entry() {
        let (mut limiter, start) = (RateLimiter::new(1, MINUTE, 100), Instant::now());
        for number in 0..10 {
            limiter.attempt(address(number), start).unwrap();
        }
        limiter.attempt(address(9), start + MINUTE).unwrap();
        for number in 20..30 {
            limiter.attempt(address(number), start + MINUTE).unwrap();
        }
        assert!(limiter.attempt(address(9), start + MINUTE).is_err());
        assert_eq!(limiter.begun.len(), limiter.addresses());
    }

    #[test]
    fn s5_a_bucket_gives_its_burst_then_its_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, 5, start);
        assert_eq!((0..20).filter(|_| bucket.take(1, start)).count(), 5);
        assert!(!bucket.take(1, start + Duration::from_millis(99)));
        assert!(bucket.take(1, start + Duration::from_millis(100)));
        assert!(!bucket.take(1, start + Duration::from_millis(100)));
        let taken = (0..1000).filter(|ms| bucket.take(1, start + Duration::from_millis(1000 + ms))).count();
        assert_eq!(taken, 5 + 9, "the refilled burst, then one every 100 ms");
    }

    #[test]
    fn s5_a_steady_client_at_the_rate_is_never_refused() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(60, 1, start);
        assert!((0..600_u64).all(|n| bucket.take(1, start + Duration::from_nanos(n * 1_000_000_000 / 60))));
    }

    #[test]
    fn s5_a_bucket_is_small_and_survives_extremes() {
        assert!(size_of::<TokenBucket>() <= 24);
        let now = Instant::now();
        assert!(TokenBucket::new(0, 0, now).take(1, now));
        let mut widest = TokenBucket::new(1, u32::MAX, now);
        assert!((0..1000).all(|_| widest.take(1, now)));
        assert!(TokenBucket::new(u32::MAX, u32::MAX, now).take(1, now));
    }
}
