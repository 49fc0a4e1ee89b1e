//! Owns what a load has counted and timed: one tally for each thread, added up at the end.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::check::{Fault, ResumeOutcome};

/// Times are kept in nanoseconds, to three digits, up to an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// How many faults are kept in words.
const MAX_EXAMPLES: usize = 10;

/// Plain counts, which are copied to show progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LoadCounts {
    pub sent: u64,
    /// Messages that reached a member, those that came twice included.
    pub deliveries: u64,
    pub connected: u64,
    /// Deliveries that are missing so far, and those among them that a verdict declared.
    pub lost: u64,
    pub declared: u64,
    pub duplicates: u64,
    pub late: u64,
    /// Events whose `seq` skips some, and those whose `seq` came before.
    pub gaps: u64,
    pub backwards: u64,
    pub false_verdicts: u64,
    /// Messages whose content was changed.
    pub damaged: u64,
    /// Messages that the server has not acknowledged.
    pub unanswered: u64,
    /// Messages that were due and could not be sent.
    pub unsent: u64,
    /// Cuts that droppers made themselves.
    pub cuts: u64,
    pub continuous: u64,
    pub snapshot: u64,
    pub reset: u64,
    pub new: u64,
    /// Players that gave up.
    pub stopped: u64,
}

impl LoadCounts {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            sent,
            deliveries,
            connected,
            lost,
            declared,
            duplicates,
            late,
            gaps,
            backwards,
            false_verdicts,
            damaged,
            unanswered,
            unsent,
            cuts,
            continuous,
            snapshot,
            reset,
            new,
            stopped,
        } = other;
        for (mine, theirs) in [
            (&mut self.sent, sent),
            (&mut self.deliveries, deliveries),
            (&mut self.connected, connected),
            (&mut self.lost, lost),
            (&mut self.declared, declared),
            (&mut self.duplicates, duplicates),
            (&mut self.late, late),
            (&mut self.gaps, gaps),
            (&mut self.backwards, backwards),
            (&mut self.false_verdicts, false_verdicts),
            (&mut self.damaged, damaged),
            (&mut self.unanswered, unanswered),
            (&mut self.unsent, unsent),
            (&mut self.cuts, cuts),
            (&mut self.continuous, continuous),
            (&mut self.snapshot, snapshot),
            (&mut self.reset, reset),
            (&mut self.new, new),
            (&mut self.stopped, stopped),
        ] {
            *mine += theirs;
        }
    }

    /// Resumes that were not continuous.
    pub(super) fn resets(&self) -> u64 {
        self.snapshot + self.reset + self.new
    }
}

#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub counts: LoadCounts,
    /// From the time a message was due to its arrival at a member.
    pub latency: Histogram<u64>,
    /// From the start of an attempt to the welcome, for first joins.
    pub joins: Histogram<u64>,
    /// From the loss of a connection to the next welcome, unless the player cut it.
    pub outages: Histogram<u64>,
    /// Why connections ended and attempts failed, and what the server's `error` frames said.
    pub ends: BTreeMap<String, u64>,
    pub errors: BTreeMap<String, u64>,
    pub examples: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: LoadCounts::default(),
            latency: times(),
            joins: times(),
            outages: times(),
            ends: BTreeMap::new(),
            errors: BTreeMap::new(),
            examples: Vec::new(),
        }
    }
}

fn times() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, LONGEST, 3).unwrap_or_else(|_| unreachable!("the bounds are constants"))
}

impl Tally {
    /// LoadCounts a fault; `place` says where it was, in words.
    pub(super) fn fault(&mut self, fault: Fault, place: impl FnOnce() -> String) {
        let counts = &mut self.counts;
        let what = match fault {
            Fault::Missing(number) => {
                counts.lost += u64::from(number);
                format!("{number} missing before it")
            }
            Fault::Declared(number) => {
                counts.lost += u64::from(number);
                counts.declared += u64::from(number);
                format!("{number} missing before it, as the verdict said")
            }
            Fault::Duplicate => {
                counts.duplicates += 1;
                "it came before".to_owned()
            }
            Fault::Late => {
                counts.late += 1;
                counts.lost = counts.lost.saturating_sub(1);
                "it came behind a later one".to_owned()
            }
            Fault::Gap(expected, found) => {
                counts.gaps += 1;
                format!("seq {found} came where {expected} was next")
            }
            Fault::Order(expected, found) => {
                counts.backwards += 1;
                format!("seq {found} came where {expected} was next")
            }
            Fault::Verdict(why) => {
                counts.false_verdicts += 1;
                format!("false verdict: {why}")
            }
        };
        self.example(|| format!("{}: {what}", place()));
    }

    /// LoadCounts a message or frame that is not as the server was given it.
    pub(super) fn damaged(&mut self, what: impl FnOnce() -> String) {
        self.counts.damaged += 1;
        self.example(what);
    }

    fn example(&mut self, what: impl FnOnce() -> String) {
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(what());
        }
    }

    pub(super) fn resumed(&mut self, outcome: ResumeOutcome) {
        let counts = &mut self.counts;
        *match outcome {
            ResumeOutcome::New => &mut counts.new,
            ResumeOutcome::Continuous => &mut counts.continuous,
            ResumeOutcome::Snapshot(..) => &mut counts.snapshot,
            ResumeOutcome::Reset => &mut counts.reset,
        } += 1;
    }

    pub(super) fn add(&mut self, other: Self) {
        self.counts.add(&other.counts);
        for (mine, theirs) in
            [(&mut self.latency, &other.latency), (&mut self.joins, &other.joins), (&mut self.outages, &other.outages)]
        {
            // Both have the same bounds, so nothing is left out.
            let added = mine.add(theirs);
            debug_assert!(added.is_ok());
        }
        for (mine, theirs) in [(&mut self.ends, other.ends), (&mut self.errors, other.errors)] {
            for (what, number) in theirs {
                *mine.entry(what).or_default() += number;
            }
        }
        let room = MAX_EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }
}

/// Keeps a time; one over an hour counts as an hour.
pub(super) fn record(histogram: &mut Histogram<u64>, nanoseconds: u64) {
    histogram.saturating_record(nanoseconds.max(1));
}
