//! Owns what follows from a feed's silence while something is subscribed (H8): when its connection
//! is to be left.

use std::time::{Duration, Instant};

/// Patience grows no further. The silence of a night or a weekend costs a connection an hour.
const MAX_PATIENCE: Duration = Duration::from_secs(3600);

/// A silence that new connections do not end is more likely the market's than theirs: from the second connection in a row on
/// that is left for it, patience doubles.
pub struct Silence {
    /// `None`: no silence is too long.
    after: Option<Duration>,
    since: Instant,
    /// Connections that were left for silence and have not been made up for by values that came in quick succession.
    in_vain: u32,
    /// Connections left for silence since the last value.
    mute: u32,
}

impl Silence {
    pub fn new(after: Option<Duration>, now: Instant) -> Self {
        Self { after, since: now, in_vain: 0, mute: 0 }
    }

    /// Silence begins to count, or something came.
    pub fn broken(&mut self, now: Instant) {
        self.since = now;
    }

    /// A value came.
    pub fn value(&mut self, now: Instant) {
        // Values that are far apart say nothing against patience.
        if self.after.is_some_and(|after| now.saturating_duration_since(self.since) < after / 2) {
            self.in_vain = self.in_vain.saturating_sub(1);
        }
        self.mute = 0;
        self.since = now;
    }

    /// The connection is left for its silence.
    pub fn left(&mut self) {
        self.in_vain += 1;
        self.mute += 1;
    }

    /// Nobody is there any more: whoever comes next has not waited yet.
    pub fn forget(&mut self) {
        self.mute = 0;
    }

    /// When the connection is to be left.
    pub fn deadline(&self) -> Option<Instant> {
        let after = self.after?;
        let factor = 2_u32.saturating_pow(self.in_vain.saturating_sub(1));
        Some(self.since + after.saturating_mul(factor).min(MAX_PATIENCE.max(after)))
    }

    /// How many connections in a row had nothing to say.
    pub fn mute(&self) -> u32 {
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
        // A feed that speaks once a minute keeps the patience that it needs; a lively one loses it soon.
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
