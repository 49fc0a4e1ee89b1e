//! Owns what a load was to hold, and whether it did.

use std::time::Duration;

use super::{
    LoadOptions,
    result::LoadResult,
    units::{AtMost, grouped, milliseconds},
};

/// One limit, and what was measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LoadCheck {
    pub name: &'static str,
    pub limit: String,
    pub found: String,
    pub is_held: bool,
}

/// Returns every limit of the options, and those that always hold.
pub(super) fn checks(options: &LoadOptions, result: &LoadResult) -> Vec<LoadCheck> {
    let counts = &result.tally.counts;
    let mut checks = vec![
        at_most("lost deliveries", options.lost, counts.lost),
        at_most("gaps in seq", options.lost, counts.gaps),
        at_most("duplicates", options.duplicates, counts.duplicates),
        at_most("resumes that were not continuous", options.resets, counts.resets()),
        at_most("messages out of order", AtMost::Count(0), counts.late + counts.backwards),
        at_most("false verdicts", AtMost::Count(0), counts.false_verdicts),
        at_most("changed messages", AtMost::Count(0), counts.damaged),
        at_most("messages that could not be sent", AtMost::Count(0), counts.unsent),
        at_most("players that had to stop", AtMost::Count(0), counts.stopped),
    ];
    let latency = &result.tally.latency;
    for (name, limit, found) in [
        ("p50", options.p50, latency.value_at_quantile(0.5)),
        ("p99", options.p99, latency.value_at_quantile(0.99)),
        ("p99.9", options.p999, latency.value_at_quantile(0.999)),
        ("greatest latency", options.max, latency.max()),
    ] {
        if let Some(limit) = limit {
            checks.push(time(name, limit, (!latency.is_empty()).then_some(found)));
        }
    }
    for hook in &result.hooks {
        let (found, is_held) = hook.outcome();
        let limit = "an exit status of 0".to_owned();
        checks.push(LoadCheck { name: "command of --run", limit, found, is_held });
    }
    if result.is_interrupted {
        let (limit, found) = ("the whole time".to_owned(), "interrupted".to_owned());
        checks.push(LoadCheck { name: "measured", limit, found, is_held: false });
    }
    checks
}

fn at_most(name: &'static str, limit: AtMost, found: u64) -> LoadCheck {
    let (limit, is_held) = match limit {
        AtMost::Count(limit) => (grouped(limit), found <= limit),
        AtMost::Any => ("any".to_owned(), true),
    };
    LoadCheck { name, limit, found: grouped(found), is_held }
}

/// Without a measured message no limit is held: nothing was shown.
fn time(name: &'static str, limit: Duration, found: Option<u64>) -> LoadCheck {
    let text = |nanoseconds: f64| milliseconds(nanoseconds / 1e6);
    let is_held = found.is_some_and(|found| found <= limit.as_nanos() as u64);
    let found = found.map_or_else(|| "nothing was timed".to_owned(), |found| text(found as f64));
    LoadCheck { name, limit: text(limit.as_nanos() as f64), found, is_held }
}
