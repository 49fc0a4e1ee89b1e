//! Owns what the benchmarks share: their frame, the server under measurement, cheap sockets, the
//! arithmetic of samples. Each uses a part of it.

#![allow(dead_code)]

pub mod figures;
pub mod server;
pub mod socket;

use std::{env, io, process::ExitCode};

/// The options of a benchmark run.
pub struct Wish {
    /// BENCH_QUICK: short, for a first look.
    pub is_quick: bool,
    /// BENCH_ROUNDS.
    pub rounds: usize,
    /// Part of a case's name; empty: all of them.
    pub wanted: String,
}

/// Runs a benchmark on one thread, with open limits.
pub fn main(name: &str, measure: impl AsyncFnOnce(Wish) -> io::Result<()>) -> ExitCode {
    // `cargo test --all-targets` runs this, too, but without the argument that `cargo bench` gives.
    if !env::args().any(|argument| argument == "--bench") {
        println!("a benchmark: cargo bench --bench {name}");
        return ExitCode::SUCCESS;
    }
    let wish = Wish {
        is_quick: env::var_os("BENCH_QUICK").is_some(),
        rounds: env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1),
        wanted: env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default(),
    };
    let run = || {
        rlimit::increase_nofile_limit(u64::MAX)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(measure(wish))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
