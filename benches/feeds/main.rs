//! Owns the benchmark of feeds and proxies: one hub fanned out to many subscribers, and what a
//! proxy adds to an echo. It reads BENCH_QUICK=1 and BENCH_ROUNDS=n.

#![allow(clippy::print_stdout)] // A table on stdout is what it is for.
#![allow(unreachable_pub)] // A program has no API: `pub` is what another module of it may use.

mod bare;
mod echo;
mod hub;
#[path = "../kit/mod.rs"]
mod kit;
mod proxy;

use std::{io, process::ExitCode, time::Duration};

use kit::{Wish, figures::load_average};

/// Subscribers of one topic, and its updates a second.
const HUBS: [(usize, u64); 3] = [(2000, 200), (1000, 200), (2000, 20)];
/// Sessions, and frames a second of each.
const PROXIES: [(usize, u64); 3] = [(500, 50), (250, 50), (100, 50)];

fn main() -> ExitCode {
    kit::main("feeds", measure)
}

async fn measure(Wish { is_quick, rounds, wanted }: Wish) -> io::Result<()> {
    let time = Duration::from_secs(if is_quick { 3 } else { 10 });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, shared with the upstream and the load generator");
    if "hub".contains(&wanted) {
        println!("\none hub, one topic (target at 2000 x 200: 3 us of CPU for each delivery)");
        println!("subscribers updates/s deliveries/s CPU us/delivery  p50 ms  p99 ms server client skipped  load");
        for (subscribers, rate) in HUBS.repeat(rounds) {
            let figures = hub::run(subscribers, rate, time).await?;
            println!(
                "{subscribers:11} {rate:9} {:12.0} {:15.2} {:7.2} {:7.2} {:6.2} {:6.2} {:7} {:>5}",
                figures.deliveries,
                figures.cpu,
                figures.p50,
                figures.p99,
                figures.server_cores,
                figures.own_cores,
                figures.skipped,
                load_average()
            );
        }
    }
    if "proxy".contains(&wanted) {
        println!(
            "\nround trips to an echo: straight, through a bare relay of bytes, through a proxy (target at 500 x 50: 1 ms more at p99)"
        );
        println!("way      sessions frames/s  frames/s  p50 ms  p99 ms CPU us/frame server client  lost  load");
        for (sessions, rate) in PROXIES.repeat(rounds) {
            for way in [proxy::Way::Straight, proxy::Way::Bare, proxy::Way::Proxied] {
                let figures = proxy::run(way, sessions, rate, time).await?;
                println!(
                    "{:8} {sessions:8} {rate:8} {:9.0} {:7.2} {:7.2} {:12.1} {:6.2} {:6.2} {:5} {:>5}",
                    way.name(),
                    figures.frames,
                    figures.p50,
                    figures.p99,
                    figures.cpu,
                    figures.server_cores,
                    figures.own_cores,
                    figures.lost,
                    load_average()
                );
            }
        }
    }
    Ok(())
}
