//! Owns `Now`: one reading of both clocks, taken once per event and passed down, so that pure code
//! needs no clock. Tests make their own.

use std::{
    cell::Cell,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A moment: on the monotonic clock for deadlines, on the calendar clock for the wire and tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub instant: Instant,
    /// Unix milliseconds.
    pub unix_ms: u64,
}

/// The first use of [`since_start`], near the start of the process.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment as a number, for places where an `Instant` does not fit. Moments before the first call
/// give zero.
pub(crate) fn since_start(instant: Instant) -> Duration {
    instant.saturating_duration_since(*START)
}

/// R7: if a timer is this late, other timers did not delay it: this thread did not run.
const LATE: Duration = Duration::from_millis(500);
/// R7: after that, the time in which the server reads what waits in its sockets.
const CATCH_UP: Duration = Duration::from_secs(1);
/// R7: the shortest time between two postponements, for a thread that is always late.
const NOT_AGAIN: Duration = Duration::from_secs(3);

thread_local! {
    /// When this thread last noticed that it had not run.
    static AWOKE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// R7: call this at the start of each timer that ends something because a peer was silent, with the
/// time the timer was due. If the process was stopped, the peer's bytes may still wait in the
/// socket: then this returns when to check again.
pub(crate) fn postponed(due: Instant, now: Instant) -> Option<Instant> {
    let awoke = AWOKE.get();
    if now.saturating_duration_since(due) >= LATE
        && awoke.is_none_or(|awoke| now.saturating_duration_since(awoke) >= NOT_AGAIN)
    {
        AWOKE.set(Some(now));
    }
    AWOKE.get().map(|awoke| awoke + CATCH_UP).filter(|end| now < *end)
}

thread_local! {
    /// The last joint reading of both clocks.
    static ANCHOR: Cell<Option<Now>> = const { Cell::new(None) };
}

/// The longest use of an anchor: a step of the calendar clock takes effect within this time.
const ANCHOR_AGE: Duration = Duration::from_secs(1);

impl Now {
    /// Reads the monotonic clock. The calendar clock is read once a second and extrapolated in
    /// between.
    pub(crate) fn read() -> Self {
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
    #[cfg(any(test, fuzzing))]
    pub(crate) fn later(self, by: Duration) -> Self {
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
        // A thread that is always late still ends what is due, a little later.
        assert_eq!(postponed(start, awoke + ms(2_000)), None);
        assert!(postponed(start, awoke + ms(20_000)).is_some(), "stopped again");
    }
}
