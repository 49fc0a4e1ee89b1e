//! Owns when a connection is closed because its feed is silent while something is subscribed (H8).

use std::time::{Duration, Instant};

/// The longest patience. A silent night or weekend costs one connection an hour.
const MAX_PATIENCE: Duration = Duration::from_secs(3600);

/// If new connections do not end a silence, the market is probably quiet, not the connection
/// broken: patience doubles with each connection in a row that is closed for silence, from the
/// second one on.
pub(super) struct Silence {
    /// `None` if no silence is too long.
    after: Option<Duration>,
    since: Instant,
    /// Connections that were closed for silence, less one for each value that came soon after
    /// another.
    in_vain: u32,
    /// Connections closed for silence since the last value.
    mute: u32,
}

impl Silence {
    pub(super) fn new(after: Option<Duration>, now: Instant) -> Self {
        Self { after, since: now, in_vain: 0, mute: 0 }
    }

    /// Restarts the silence: it begins to count, or a frame came.
    pub(super) fn broken(&mut self, now: Instant) {
        self.since = now;
    }

    /// A value came.
    pub(super) fn value(&mut self, now: Instant) {
        // Values that are far apart do not reduce the patience: the feed needs it.
        if self.after.is_some_and(|after| now.saturating_duration_since(self.since) < after / 2) {
            self.in_vain = self.in_vain.saturating_sub(1);
        }
        self.mute = 0;
        self.since = now;
    }

    /// The connection is closed for its silence.
    pub(super) fn left(&mut self) {
        self.in_vain += 1;
        self.mute += 1;
    }

    /// No client is here any more: the next one has not waited yet.
    pub(super) fn forget(&mut self) {
        self.mute = 0;
    }

    /// When the connection is to be closed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let after = self.after?;
        let factor = 2_u32.saturating_pow(self.in_vain.saturating_sub(1));
        Some(self.since + after.saturating_mul(factor).min(MAX_PATIENCE.max(after)))
    }

    /// How many connections in a row were closed without a value.
    pub(super) fn mute(&self) -> u32 {
        self.mute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h8_a_silence_that_new_connections_do_not_end_costs_fewer_and_fewer_of_them() {
        let (second, mut now) = (Duration::from_secs(1), Instant::now());
        let mut silence = Silence::new(Some(second), now);
        let mut waits = Vec::new();
        for _ in 0..16 {
            let at = silence.deadline().expect("a bound");
            waits.push((at - now).as_secs());
            now = at;
            silence.left();
            silence.broken(now);
        }
        assert_eq!(waits[..6], [1, 1, 2, 4, 8, 16]);
        assert_eq!(waits[15], 3600);
        assert_eq!(silence.mute(), 16);
        silence.value(now);
        assert_eq!(silence.mute(), 0);
        // A feed with one value a minute keeps the patience that it needs; a lively one soon loses
        // it.
        for _ in 0..100 {
            now += 60 * second;
            silence.value(now);
        }
        assert!(silence.deadline().expect("a bound") > now + 60 * second);
        for _ in 0..20 {
            now += second / 10;
            silence.value(now);
        }
        assert_eq!(silence.deadline(), Some(now + second));
        assert_eq!(Silence::new(None, now).deadline(), None);
    }
}
