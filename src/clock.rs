//! Owns `Now`: one reading of both clocks, taken once per event and passed down, so that pure code needs no clock.
//! Called by actors at the top of a handler; tests make their own.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment: for deadlines the monotonic clock, for the wire and for tokens the calendar's.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub instant: Instant,
    /// Milliseconds since 1970, UTC.
    pub unix_ms: u64,
}

impl Now {
    pub fn read() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_ms: since_epoch.as_millis() as u64 }
    }

    /// The moment `by` later, on both clocks.
    pub fn later(self, by: Duration) -> Self {
        Self { instant: self.instant + by, unix_ms: self.unix_ms + by.as_millis() as u64 }
    }
}
