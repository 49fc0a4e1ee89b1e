//! Owns the pace of subscription frames: never more in a second than the upstream accepts.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// A sliding window: at most `frames` frames within any `window`. A token bucket of the same rate
/// would let twice as many through in its first second, and some upstreams close for one frame too
/// many.
pub(super) struct Pace {
    frames: usize,
    window: Duration,
    /// When the newest frames were sent, at most `frames` of them.
    sent: VecDeque<Instant>,
}

impl Pace {
    /// The most frames that are remembered, and so the largest burst.
    const MAX_FRAMES: f64 = 1000.0;
    const MAX_WINDOW: Duration = Duration::from_secs(86_400);

    pub(super) fn new(per_second: f64) -> Self {
        // For NaN, `max` and `min` return the other operand; `clamp` does not.
        #[expect(clippy::manual_clamp)]
        let frames = per_second.ceil().max(1.0).min(Self::MAX_FRAMES);
        let window = Duration::try_from_secs_f64(frames / per_second).unwrap_or(Duration::from_secs(1));
        let window = window.min(Self::MAX_WINDOW);
        Self { frames: frames as usize, window, sent: VecDeque::new() }
    }

    /// When the next frame may be sent; `None` if at once.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = self.sent.front().filter(|_| self.sent.len() >= self.frames)?;
        Some(*first + self.window)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next().is_none_or(|next| next <= now)
    }

    pub(super) fn sent(&mut self, now: Instant) {
        while self.sent.len() >= self.frames {
            self.sent.pop_front();
        }
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_no_second_sees_more_frames_than_the_rate_and_no_slot_is_wasted() {
        for (rate, seconds) in [(5.0, 10.0), (1.0, 10.0), (2.5, 10.0), (0.5, 10.0), (50.0, 3.0)] {
            let start = Instant::now();
            let (mut pace, mut now, mut sent) = (Pace::new(rate), start, Vec::new());
            while now < start + Duration::from_secs_f64(seconds) {
                match pace.next() {
                    Some(next) if next > now => now = next,
                    _ => {
                        pace.sent(now);
                        sent.push(now);
                    }
                }
            }
            for first in &sent {
                let within = sent.iter().filter(|at| *at >= first && **at < *first + Duration::from_secs(1)).count();
                assert!(within as f64 <= rate.ceil(), "{within} at {rate}");
            }
            assert!(sent.len() as f64 >= rate * seconds, "{} at {rate}", sent.len());
        }
    }

    #[test]
    fn a_rate_that_makes_no_sense_is_no_panic() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e-18, 1e300] {
            let (mut pace, now) = (Pace::new(rate), Instant::now());
            pace.sent(now);
            assert!(pace.next().is_none_or(|next| next >= now), "{rate}");
        }
    }
}
