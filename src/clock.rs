//! Owns `Now`: one reading of both clocks, taken once per event and passed down, so that pure code needs no clock.
//! Called by actors at the top of a handler; tests make their own.

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
