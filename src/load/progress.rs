//! Owns the line of progress on a terminal.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use super::{
    shared::Shared,
    units::{grouped, milliseconds},
};

const EVERY: Duration = Duration::from_millis(500);

/// Nothing unless stderr is a terminal.
pub(super) struct ProgressLine {
    is_on: bool,
    players: usize,
    shown_at: Option<Duration>,
    /// Deliveries until the last line, for the rate.
    deliveries: u64,
}

impl ProgressLine {
    pub(super) fn new(players: usize) -> Self {
        Self { is_on: io::stderr().is_terminal(), players, shown_at: None, deliveries: 0 }
    }

    /// Shows where the run is, at most twice a second; `phase` is in words.
    pub(super) fn show(&mut self, now: Duration, phase: &str, shared: &Shared) {
        let since = self.shown_at.map(|shown| now.saturating_sub(shown));
        if !self.is_on || since.is_some_and(|since| since < EVERY) {
            return;
        }
        let Some((counts, latency)) = shared.progress() else { return };
        let seconds = since.unwrap_or(EVERY).as_secs_f64();
        let rate = (counts.deliveries.saturating_sub(self.deliveries)) as f64 / seconds;
        (self.shown_at, self.deliveries) = (Some(now), counts.deliveries);
        let at = |quantile| milliseconds(latency.value_at_quantile(quantile) as f64 / 1e6);
        let times = if latency.is_empty() { String::new() } else { format!("  p50 {}  p99 {}", at(0.5), at(0.99)) };
        let faults = counts.lost + counts.duplicates + counts.late + counts.backwards + counts.gaps + counts.damaged;
        let faults = faults + counts.false_verdicts + counts.resets();
        self.write(&format!(
            "{phase}  {}/{} connected  {} deliveries/s{times}  {faults} faults",
            grouped(counts.connected),
            grouped(self.players as u64),
            grouped(rate as u64)
        ));
    }

    pub(super) fn clear(&self) {
        if self.is_on && self.shown_at.is_some() {
            self.write("");
        }
    }

    /// Overwrites the line.
    fn write(&self, text: &str) {
        let mut out = io::stderr().lock();
        let _ = write!(out, "\r\x1b[K{text}").and_then(|()| out.flush());
    }
}
