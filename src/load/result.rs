//! Owns what a load found, and its two forms: words and JSON.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{
    hook::Hook,
    plan::LoadPlan,
    soak::Slope,
    tally::Tally,
    units::{grouped, milliseconds},
    verdict::LoadCheck,
};

pub(super) struct LoadResult {
    pub tally: Tally,
    /// How long was measured, and what was sent and delivered in that time.
    pub seconds: f64,
    pub sent: u64,
    pub deliveries: u64,
    /// Seconds of CPU in that time: of this process, and of the server where it is known.
    pub own_cpu: Option<f64>,
    pub server_cpu: Option<f64>,
    /// Of memory, descriptors and disk; `None` without a soak.
    pub slopes: Option<[Option<Slope>; 3]>,
    pub hooks: Vec<Hook>,
    pub is_interrupted: bool,
}

impl LoadResult {
    /// # Errors
    /// Those of `out`.
    pub(super) fn write_words(&self, plan: &LoadPlan, checks: &[LoadCheck], out: &mut dyn Write) -> io::Result<()> {
        let (options, counts) = (&plan.options, &self.tally.counts);
        let number = |value: usize| grouped(value as u64);
        let senders = match (plan.interval, plan.senders) {
            (None, _) => "nobody sends".to_owned(),
            (_, all) if all == options.players => format!("everyone sends {} a second", options.rate),
            (_, some) => format!("{some} of each send {} a second", options.rate),
        };
        writeln!(
            out,
            "{} rooms of {} players, {senders}, {} bytes each, for {:.0} s",
            number(options.rooms),
            number(options.players),
            number(options.bytes),
            self.seconds
        )?;
        let per_second = |count: u64| grouped((count as f64 / self.seconds.max(1e-9)) as u64);
        writeln!(
            out,
            "sent         {} messages, delivered {} ({} a second)",
            grouped(self.sent),
            grouped(self.deliveries),
            per_second(self.deliveries)
        )?;
        write_times(out, "latency", &self.tally.latency)?;
        write_times(out, "joins", &self.tally.joins)?;
        if counts.cuts > 0 || counts.continuous + counts.resets() > 0 {
            writeln!(
                out,
                "resumes      {} continuous, {} snapshot, {} reset, {} new; {} cuts were the players' own",
                grouped(counts.continuous),
                grouped(counts.snapshot),
                grouped(counts.reset),
                grouped(counts.new),
                grouped(counts.cuts)
            )?;
        }
        write_times(out, "outages", &self.tally.outages)?;
        for (name, kinds) in [("ends", &self.tally.ends), ("errors", &self.tally.errors)] {
            if !kinds.is_empty() {
                let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind}: {}", grouped(*count))).collect();
                writeln!(out, "{name:12} {}", kinds.join("; "))?;
            }
        }
        if counts.declared > 0 {
            writeln!(out, "of the lost  {} were declared by verdicts", grouped(counts.declared))?;
        }
        if counts.unanswered > 0 {
            writeln!(out, "unanswered   {} messages", grouped(counts.unanswered))?;
        }
        for (name, cpu) in [("own CPU", self.own_cpu), ("server CPU", self.server_cpu)] {
            if let Some(each) = self.microseconds_each(cpu) {
                writeln!(out, "{name:12} {each:.2} µs a delivery")?;
            }
        }
        if let Some(slopes) = &self.slopes {
            for ((name, _, unit, divisor), slope) in SLOPES.iter().zip(slopes) {
                match slope {
                    Some(Slope { first, last, per_hour }) => writeln!(
                        out,
                        "{name:12} {:.1} → {:.1}{unit}, {:+.2}{unit} an hour",
                        first / divisor,
                        last / divisor,
                        per_hour / divisor
                    )?,
                    None => writeln!(out, "{name:12} unknown")?,
                }
            }
        }
        for hook in &self.hooks {
            writeln!(out, "at {:<9.1?} {:?}: {}", hook.at(), hook.command, hook.outcome().0)?;
        }
        for example in &self.tally.examples {
            writeln!(out, "fault        {example}")?;
        }
        let (held, broken): (Vec<_>, Vec<_>) = checks.iter().partition(|check| check.is_held);
        for LoadCheck { name, limit, found, .. } in &broken {
            writeln!(out, "BROKEN       {name}: {found} (at most {limit})")?;
        }
        let words: Vec<_> = held.iter().map(|LoadCheck { name, found, .. }| format!("{name}: {found}")).collect();
        for (at, some) in words.chunks(3).enumerate() {
            writeln!(out, "{:12} {}", if at == 0 { "held" } else { "" }, some.join("; "))?;
        }
        match broken.len() {
            0 => writeln!(out, "All limits were held.")?,
            1 => writeln!(out, "One limit was broken.")?,
            number => writeln!(out, "{number} limits were broken.")?,
        }
        out.flush()
    }

    fn microseconds_each(&self, cpu: Option<f64>) -> Option<f64> {
        cpu.filter(|_| self.deliveries > 0).map(|cpu| cpu * 1e6 / self.deliveries as f64)
    }

    /// One object; times are in milliseconds.
    pub(super) fn json(&self, plan: &LoadPlan, checks: &[LoadCheck]) -> Value {
        let (options, counts) = (&plan.options, &self.tally.counts);
        let slopes = self.slopes.as_ref().map(|slopes| {
            let named = SLOPES.iter().zip(slopes).map(|((_, key, ..), slope)| {
                let slope =
                    slope.map(|slope| json!({"first": slope.first, "last": slope.last, "per_hour": slope.per_hour}));
                ((*key).to_owned(), json!(slope))
            });
            Value::Object(named.collect())
        });
        let hooks: Vec<_> = self.hooks.iter().map(|hook| {
            let (outcome, is_well) = hook.outcome();
            json!({"at_ms": hook.at().as_millis() as u64, "command": hook.command, "outcome": outcome, "ok": is_well})
        }).collect();
        let checks: Vec<_> = checks
            .iter()
            .map(|check| json!({"name": check.name, "limit": check.limit, "found": check.found, "held": check.is_held}))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "url": options.url,
            "rooms": options.rooms, "players": options.players, "senders": plan.senders,
            "rate": options.rate, "bytes": options.bytes, "seconds": self.seconds,
            "sent": self.sent, "deliveries": self.deliveries,
            "latency_ms": times(&self.tally.latency),
            "joins_ms": times(&self.tally.joins),
            "outages_ms": times(&self.tally.outages),
            "lost": counts.lost, "lost_declared": counts.declared, "duplicates": counts.duplicates,
            "out_of_order": counts.late + counts.backwards, "seq_gaps": counts.gaps,
            "changed": counts.damaged, "false_verdicts": counts.false_verdicts,
            "unanswered": counts.unanswered, "unsent": counts.unsent, "stopped": counts.stopped,
            "cuts": counts.cuts,
            "resumes": {
                "continuous": counts.continuous, "snapshot": counts.snapshot,
                "reset": counts.reset, "new": counts.new,
            },
            "ends": counted(&self.tally.ends), "errors": counted(&self.tally.errors),
            "cpu_us_per_delivery": {
                "load": self.microseconds_each(self.own_cpu), "server": self.microseconds_each(self.server_cpu),
            },
            "slopes": slopes, "hooks": hooks, "faults": self.tally.examples, "checks": checks,
        })
    }
}

/// Name, key, unit, and what the unit is in.
const SLOPES: [(&str, &str, &str, f64); 3] = [
    ("memory", "memory_bytes", " MiB", 1_048_576.0),
    ("descriptors", "descriptors", "", 1.0),
    ("disk", "disk_bytes", " MiB", 1_048_576.0),
];

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn write_times(out: &mut dyn Write, name: &str, times: &Histogram<u64>) -> io::Result<()> {
    if times.is_empty() {
        return Ok(());
    }
    let at = |quantile: f64| milliseconds(ms(times.value_at_quantile(quantile)));
    writeln!(
        out,
        "{name:12} p50 {}, p99 {}, p99.9 {}, greatest {} (of {})",
        at(0.5),
        at(0.99),
        at(0.999),
        milliseconds(ms(times.max())),
        grouped(times.len())
    )
}

fn times(times: &Histogram<u64>) -> Value {
    if times.is_empty() {
        return json!({"count": 0});
    }
    let at = |quantile: f64| ms(times.value_at_quantile(quantile));
    json!({
        "count": times.len(), "mean": times.mean() / 1e6, "p50": at(0.5), "p90": at(0.9), "p99": at(0.99),
        "p999": at(0.999), "max": ms(times.max()),
    })
}

fn counted(kinds: &BTreeMap<String, u64>) -> Value {
    json!(kinds)
}
