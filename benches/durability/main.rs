//! Owns the benchmark of durability: the cases, their order, and the tables. Figures of a machine,
//! not a test. It reads BENCH_QUICK=1, BENCH_ROUNDS=n and BENCH_DIR, the directory for the stores.

#![allow(clippy::print_stdout)] // A table on stdout is what it is for.
#![allow(unreachable_pub)] // A program has no API: `pub` is what another module of it may use.

mod bursts;
#[path = "../kit/mod.rs"]
mod kit;
mod load;
mod recovery;

use std::{env, io, path::Path, process::ExitCode, time::Duration};

use kit::{
    Wish,
    figures::{self, median},
    server::Server,
};
use load::Case;

/// Rooms on the disk when the server starts again; measured with three times as many, too.
const OLD_ROOMS: usize = 10_000;
const BURST: u64 = 5;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

const fn offered(durability: &'static str, rooms: usize, events: u64) -> Case {
    Case { durability, rooms, members: 2, offered: Some(events), burst: BURST }
}

const fn closed(durability: &'static str, rooms: usize) -> Case {
    Case { durability, rooms, members: 2, offered: None, burst: BURST }
}

/// Cases that are compared run next to each other, so that a change in the machine's load affects
/// both.
const CASES: &[(&str, Case)] = &[
    ("memory 10k/s", offered("memory", 1000, 10_000)),
    ("journal 10k/s", offered("journal", 1000, 10_000)),
    ("memory 50k/s", offered("memory", 1000, 50_000)),
    ("journal 50k/s", offered("journal", 1000, 50_000)),
    ("memory max", closed("memory", 1000)),
    ("journal max", closed("journal", 1000)),
    ("sync 5k/s", offered("sync", 100, 5_000)),
    ("sync max", closed("sync", 100)),
];

fn main() -> ExitCode {
    kit::main("durability", measure)
}

/// A server whose rooms are this durable, with its store here.
fn start(directory: &Path, durability: &str) -> io::Result<Server> {
    let directory = directory.to_str().ok_or_else(|| io::Error::other("a path that is not UTF-8"))?;
    Server::start(&[("DURABILITY", durability), ("DATA_DIR", directory)])
}

async fn measure(Wish { is_quick, rounds, wanted }: Wish) -> io::Result<()> {
    let (warm_up, time) = if is_quick { (500, 2000) } else { (2000, 10_000) };
    // Not the system's directory for temporary files: that may be memory, and flushing it free.
    let parent = env::var_os("BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let parent = Path::new(&parent);
    let flush = figures::flush_time(parent)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{cores} cores, shared with the load generator; a flush of 4 KiB takes {:.2} ms",
        flush.as_secs_f64() * 1e3
    );

    let cases: Vec<_> = CASES.iter().filter(|(name, _)| name.contains(&wanted)).collect();
    let mut results = Vec::new();
    if !cases.is_empty() {
        println!(
            "\n{:13} {:>5} {:>8} {:>9} {:>12} {:>7} {:>7} {:>12} {:>9} {:>7} {:>7} {:>6} {:>6} {:>5}",
            "case",
            "rooms",
            "members",
            "events/s",
            "deliveries/s",
            "p50 ms",
            "p99 ms",
            "CPU us/event",
            "(journal)",
            "server",
            "client",
            "MiB",
            "lost",
            "load"
        );
    }
    for _ in 0..rounds {
        for (name, case) in &cases {
            let directory = tempfile::tempdir_in(parent)?;
            let run = load::run(*case, directory.path(), Duration::from_millis(warm_up), Duration::from_millis(time));
            let figures = run.await?;
            println!(
                "{name:13} {:5} {:8} {:9.0} {:12.0} {:7.2} {:7.2} {:12.1} {:9.1} {:7.2} {:7.2} {:6.1} {:6} {:>5}",
                case.rooms,
                case.members,
                figures.events,
                figures.deliveries,
                figures.p50,
                figures.p99,
                figures.cpu,
                figures.journal_cpu,
                figures.server_cores,
                figures.own_cores,
                figures.disk_bytes as f64 / MEBIBYTE,
                figures.lost,
                figures::load_average()
            );
            results.push((*name, figures));
        }
    }
    compare(&results);
    if "recovery".contains(&wanted) {
        recover(parent, if is_quick { OLD_ROOMS / 10 } else { OLD_ROOMS }, rounds).await?;
    }
    Ok(())
}

/// The targets, by the medians of all rounds.
fn compare(results: &[(&str, load::Figures)]) {
    let middle = |name: &str, figure: fn(&load::Figures) -> f64| {
        let samples: Vec<f64> =
            results.iter().filter(|(n, _)| *n == name).map(|(_, figures)| figure(figures)).collect();
        (!samples.is_empty()).then(|| median(samples))
    };
    println!();
    for load in ["10k/s", "50k/s", "max"] {
        let (memory, journal) = (format!("memory {load}"), format!("journal {load}"));
        let pair = |figure| middle(&memory, figure).zip(middle(&journal, figure));
        if let (Some(events), Some(p99), Some(cpu)) = (pair(|f| f.events), pair(|f| f.p99), pair(|f| f.cpu)) {
            println!(
                "journal / memory, {load}: events/s {:.2}, CPU {:.2}, p99 {:+.2} ms",
                events.1 / events.0,
                cpu.1 / cpu.0,
                p99.1 - p99.0
            );
        }
    }
    println!(
        "targets: 50,000/s over 1,000 rooms with p99 +10 ms; at 10,000/s ratio 0.75; sync 5,000/s over 100 rooms; lost 0"
    );
}

async fn recover(parent: &Path, rooms: usize, rounds: usize) -> io::Result<()> {
    println!(
        "\nstart after kill -9 (target: 300 ms, and memory as without rooms)\n\
         {:8} {:>12} {:>16} {:>14} {:>14} {:>15} {:>15} {:>6} {:>5}",
        "rooms",
        "listening ms",
        "first welcome ms",
        "resident MiB",
        "100 opened MiB",
        "opening 100, ms",
        "not continuous",
        "MiB",
        "load"
    );
    for _ in 0..rounds {
        // With three times as many rooms, the difference is the cost of rooms, without the store's
        // fixed cost.
        for rooms in [0, rooms, 3 * rooms] {
            let directory = tempfile::tempdir_in(parent)?;
            let figures = recovery::run(rooms, "journal", directory.path()).await?;
            println!(
                "{rooms:8} {:12.1} {:16.1} {:14.1} {:14.1} {:15.1} {:15} {:6.1} {:>5}",
                figures.listening.as_secs_f64() * 1e3,
                figures.first_welcome.as_secs_f64() * 1e3,
                figures.resident_first as f64 / MEBIBYTE,
                figures.resident_opened as f64 / MEBIBYTE,
                figures.opening.as_secs_f64() * 1e3,
                figures.not_continuous,
                figures.disk_bytes as f64 / MEBIBYTE,
                figures::load_average()
            );
        }
    }
    Ok(())
}
