//! Owns the course of a load: the threads, the phases and their times.

use std::{sync::Arc, thread, time::Duration};

use super::{
    LoadFailure,
    alarm::RunClock,
    hook::Hook,
    plan::LoadPlan,
    progress::ProgressLine,
    result::LoadResult,
    shared::Shared,
    soak::Soak,
    tally::{LoadCounts, Tally},
    units::grouped,
    usage::{self, ServerUsage},
    worker,
};
use crate::ws::Dialer;

/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(10);
/// Descriptors that are no player's.
const OWN_FILES: u64 = 50;

/// What is read at the start and at the end of the measuring.
struct Reading {
    counts: LoadCounts,
    own_cpu: Option<f64>,
    server: ServerUsage,
}

struct Course<'a> {
    plan: &'a LoadPlan,
    shared: &'a Shared,
    clock: RunClock,
    line: ProgressLine,
    soak: Option<Soak>,
    hooks: Vec<Hook>,
}

/// Runs a load to its end.
///
/// # Errors
/// [`LoadFailure`]: not all players could join, or the system refuses something.
pub(super) fn run(plan: LoadPlan) -> Result<(LoadPlan, LoadResult), LoadFailure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| LoadFailure::Failed(format!("{what}: {error}"));
    let wanted = plan.players() as u64 + OWN_FILES;
    let files = rlimit::increase_nofile_limit(wanted).map_err(|error| failed("the limit of open files", &error))?;
    if files < wanted {
        return Err(LoadFailure::Failed(format!(
            "the limit of open files is {files}, and {} players need {wanted}: raise it (ulimit -n)",
            grouped(plan.players() as u64)
        )));
    }
    let dialer =
        Dialer::new(plan.options.ca_file.as_deref()).map_err(|why| LoadFailure::Usage(format!("--ca-file {why}")))?;
    let shared = Arc::new(Shared::new(plan.threads));
    let (plan, clock) = (Arc::new(plan), RunClock::start());
    let mut threads = Vec::new();
    for number in 0..plan.threads {
        let (plan, shared, dialer) = (plan.clone(), shared.clone(), dialer.clone());
        let started = thread::Builder::new().name(format!("load-{number}")).spawn(move || {
            let tally = worker::run(number, plan, shared.clone(), clock, dialer);
            if let Err(error) = &tally {
                shared.thread_failed(error.to_string());
            }
            tally
        });
        threads.push(started.map_err(|error| failed("a thread cannot start", &error))?);
    }
    let options = &plan.options;
    let hooks = options.at.iter().zip(&options.run).map(|(at, run)| Hook::new(*at, run.clone())).collect();
    let (line, soak) = (ProgressLine::new(plan.players()), Soak::new(&plan));
    let mut course = Course { plan: &plan, shared: &shared, clock, line, soak, hooks };
    let outcome = course.follow();
    let (hooks, slopes) = (course.hooks, course.soak.as_ref().and_then(Soak::slopes));
    shared.finish();
    let mut tally = Tally::default();
    for thread in threads {
        let ended = thread.join().map_err(|_| LoadFailure::Failed("a thread of the load panicked".to_owned()))?;
        tally.add(ended.map_err(|error| failed("a thread of the load failed", &error))?);
    }
    let (begin, end, seconds) = outcome?;
    let cpu = |end: Option<f64>, begin: Option<f64>| end.zip(begin).map(|(end, begin)| end - begin);
    let result = LoadResult {
        tally,
        seconds,
        sent: end.counts.sent - begin.counts.sent,
        deliveries: end.counts.deliveries - begin.counts.deliveries,
        own_cpu: cpu(end.own_cpu, begin.own_cpu),
        server_cpu: cpu(end.server.cpu_seconds, begin.server.cpu_seconds).filter(|cpu| *cpu >= 0.0),
        slopes,
        hooks,
        is_interrupted: shared.is_interrupted(),
    };
    let plan =
        Arc::into_inner(plan).ok_or_else(|| LoadFailure::Failed("a thread of the load did not end".to_owned()))?;
    Ok((plan, result))
}

impl Course<'_> {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.clock.now())
    }

    /// Takes the load through its phases; gives what was read at both ends of the measuring, and
    /// the seconds between.
    fn follow(&mut self) -> Result<(Reading, Reading, f64), LoadFailure> {
        let result = self.join().and_then(|()| self.measure());
        self.line.clear();
        result
    }

    fn join(&mut self) -> Result<(), LoadFailure> {
        let options = &self.plan.options;
        let (players, deadline) = (self.plan.players(), options.ramp + options.join_timeout);
        loop {
            let (joined, now) = (self.shared.joined(), self.now());
            if joined == players {
                return Ok(());
            }
            let is_settled = self.shared.stopped() > 0;
            if is_settled || now > deadline || self.shared.is_interrupted() {
                let why = self.shared.why().unwrap_or_else(|| "they had no answer in time".to_owned());
                let (out, all) = (grouped((players - joined) as u64), grouped(players as u64));
                return Err(LoadFailure::Failed(format!("{out} of {all} players have not joined: {why}")));
            }
            self.line.show(now, "joining", self.shared);
            self.pause()?;
        }
    }

    fn measure(&mut self) -> Result<(Reading, Reading, f64), LoadFailure> {
        let options = &self.plan.options;
        let from = self.now() + options.warmup;
        let nanoseconds = |time: Duration| time.as_nanos() as u64;
        self.shared.measure(nanoseconds(from), nanoseconds(from + options.measured));
        while self.now() < from && !self.shared.is_interrupted() {
            self.line.show(self.now(), "warming up", self.shared);
            self.pause()?;
        }
        let begin = self.read();
        let mut end = Duration::from_nanos(self.shared.end());
        while self.now() < end {
            let since = self.now().saturating_sub(from);
            self.hooks.iter_mut().for_each(|hook| hook.watch(since));
            if let Some(soak) = &mut self.soak {
                soak.watch(since.as_secs_f64());
            }
            let phase = format!("{} of {} s", since.as_secs(), options.measured.as_secs_f64());
            self.line.show(self.now(), &phase, self.shared);
            if self.shared.stopped() == self.plan.players() {
                self.shared.interrupt(self.clock.now());
            }
            self.pause()?;
            end = Duration::from_nanos(self.shared.end());
        }
        let reading = self.read();
        let seconds = self.now().saturating_sub(from).as_secs_f64();
        while self.now() < end + options.settle && !self.shared.is_complete() {
            self.hooks.iter_mut().for_each(|hook| hook.watch(end.saturating_sub(from)));
            self.line.show(self.now(), "settling", self.shared);
            self.pause()?;
        }
        self.hooks.iter_mut().for_each(|hook| hook.watch(end.saturating_sub(from)));
        Ok((begin, reading, seconds))
    }

    fn pause(&self) -> Result<(), LoadFailure> {
        if let Some(why) = self.shared.failure() {
            return Err(LoadFailure::Failed(format!("a thread of the load failed: {why}")));
        }
        thread::sleep(TICK);
        Ok(())
    }

    fn read(&self) -> Reading {
        let counts = self.shared.progress().map(|(counts, _)| counts).unwrap_or_default();
        let server = self.soak.as_ref().map(Soak::usage).unwrap_or_default();
        Reading { counts, own_cpu: usage::cpu_seconds("self"), server }
    }
}
