//! Owns `Now`: one reading of both clocks, taken once per event and passed down, so that pure code
//! needs no clock. Tests make their own.

use std::{
    cell::Cell,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A moment: for deadlines the monotonic clock, for the wire and for tokens the calendar's.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub instant: Instant,
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
}

/// Any moment near the start of the process.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment as a number that fits where an `Instant` does not. Moments before the first call are zero.
pub fn since_start(instant: Instant) -> Duration {
    instant.saturating_duration_since(*START)
}

/// R7: a timer that is so late was not delayed by other timers: this thread did not run.
const LATE: Duration = Duration::from_millis(500);
/// R7: so long whoever waits at a socket has, after that, to be read.
const CATCH_UP: Duration = Duration::from_secs(1);
/// A thread that is late all the time postpones what is due only once in so long.
const NOT_AGAIN: Duration = Duration::from_secs(3);

thread_local! {
    /// When this thread last noticed that it had not run.
    static AWOKE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// R7: call this at the top of each timer that ends something because nobody was heard, with the moment that the timer was due.
/// A process that was stopped first reads what waits in its sockets: then this says when to come again.
pub fn postponed(due: Instant, now: Instant) -> Option<Instant> {
    let awoke = AWOKE.get();
    if now.saturating_duration_since(due) >= LATE
        && awoke.is_none_or(|awoke| now.saturating_duration_since(awoke) >= NOT_AGAIN)
    {
        AWOKE.set(Some(now));
    }
    AWOKE.get().map(|awoke| awoke + CATCH_UP).filter(|end| now < *end)
}

thread_local! {
    /// Both clocks, read together a moment ago.
    static ANCHOR: Cell<Option<Now>> = const { Cell::new(None) };
}

/// How old the anchor may be: a step of the calendar's clock is followed within this time.
const ANCHOR_AGE: Duration = Duration::from_secs(1);

impl Now {
    /// Reads the monotonic clock; the calendar's is read once a second and carried on in between.
    pub fn read() -> Self {
        let instant = Instant::now();
        if let Some(anchor) = ANCHOR.get() {
            let age = instant.saturating_duration_since(anchor.instant);
            if age < ANCHOR_AGE {
                return Self { instant, unix_ms: anchor.unix_ms + age.as_millis() as u64 };
            }
        }
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Self { instant, unix_ms: since_epoch.as_millis() as u64 };
        ANCHOR.set(Some(now));
        now
    }

    /// The moment `by` later, on both clocks.
    #[cfg(test)]
    pub fn later(self, by: Duration) -> Self {
        Self { instant: self.instant + by, unix_ms: self.unix_ms + by.as_millis() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r7_a_thread_that_did_not_run_postpones_once_what_is_due() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        assert_eq!(postponed(start, start + ms(499)), None, "timers of a busy thread are a little late");
        let awoke = start + ms(10_000);
        assert_eq!(postponed(start, awoke), Some(awoke + CATCH_UP));
        assert_eq!(
            postponed(awoke + ms(1), awoke + ms(2)),
            Some(awoke + CATCH_UP),
            "also what fell due a moment later"
        );
        assert_eq!(postponed(awoke + CATCH_UP, awoke + CATCH_UP), None);
        // Late all the time: it ends what it must end, a little later.
        assert_eq!(postponed(start, awoke + ms(2_000)), None);
        assert!(postponed(start, awoke + ms(20_000)).is_some(), "stopped again");
    }
}
