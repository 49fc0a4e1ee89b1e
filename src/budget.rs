//! Owns the restart budget: how often something that failed may be restarted before the server
//! pauses.

use std::time::{Duration, Instant};

/// Failures within [`WINDOW`] that spend the budget.
const MAX_FAILURES: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);

/// The recent failures of one game's rooms, or of one hub.
#[derive(Default)]
pub(crate) struct RestartBudget {
    failures: Vec<Instant>,
}

impl RestartBudget {
    pub(crate) fn spend(&mut self, now: Instant) {
        self.failures.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        self.failures.push(now);
    }

    pub(crate) fn is_spent(&self, now: Instant) -> bool {
        let recent = self.failures.iter().filter(|at| now.saturating_duration_since(**at) < WINDOW);
        recent.count() >= MAX_FAILURES
    }

    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.failures.iter().all(|at| now.saturating_duration_since(*at) >= WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_failures_in_a_minute_spend_the_budget_and_time_restores_it() {
        let start = Instant::now();
        let mut budget = RestartBudget::default();
        (0..4).for_each(|i| budget.spend(start + Duration::from_secs(i)));
        assert!(!budget.is_spent(start + Duration::from_secs(4)));
        budget.spend(start + Duration::from_secs(5));
        assert!(budget.is_spent(start + Duration::from_secs(6)));
        assert!(!budget.is_spent(start + Duration::from_secs(61)));
        assert!(budget.is_idle(start + Duration::from_secs(66)));
    }
}
