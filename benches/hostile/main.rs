//! Owns the benchmark of hostile load: what one address takes of the memory and time of others, at
//! default settings. It reads BENCH_QUICK=1, BENCH_ROUNDS=n and BENCH_DIR, the directory for the
//! stores.
//!
//! Each row has a fresh server, a neighbour in eight rooms (so that every shard has some), and an
//! attacker: a process of its own, with one thread, at one address. The controls send bytes to a
//! socket that only reads: what they delay is the machine's part and not the server's.
//!
//! Without a row, because no load makes them: a logic's patch past the bound, a presence list that
//! is wrong, graces that a frozen process ends, and what concerns trust, tokens and clients that
//! write differently. The tests have them.

#![allow(clippy::print_stdout)] // A table on stdout is what it is for.
#![allow(unreachable_pub)] // A program has no API: `pub` is what another module of it may use.

mod attacker;
mod attacks;
#[path = "../kit/mod.rs"]
mod kit;
mod neighbour;
mod peer;
mod table;

use std::{env, io, process::ExitCode, time::Duration};

use kit::Wish;

/// The first argument of an attacker's process; its name follows.
pub const ATTACKER: &str = "--attacker";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some(ATTACKER) {
        return attacker::main(&arguments.next().unwrap_or_default());
    }
    kit::main("hostile", measure)
}

async fn measure(Wish { is_quick, rounds, wanted }: Wish) -> io::Result<()> {
    let (quiet, attack) = if is_quick { (2, 3) } else { (3, 8) };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, shared with the attacker and the neighbours; default settings, one hostile address");
    table::head();
    for _ in 0..rounds {
        for attack_ in attacks::ALL.iter().filter(|attack| attack.name.contains(&wanted)) {
            // A row that fails is reported in its place; the others are measured all the same.
            match table::row(attack_, Duration::from_secs(quiet), Duration::from_secs(attack)).await {
                Ok(row) => println!("{row}"),
                Err(error) => println!("{:44} failed: {error}", attack_.name),
            }
        }
    }
    println!(
        "bounds: {} MiB, and {} ms more at another room's p99 than when it is quiet",
        table::MOST_MIB,
        table::MOST_MS
    );
    Ok(())
}
