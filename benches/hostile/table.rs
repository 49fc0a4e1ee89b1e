//! Owns the table: how one row is measured, its columns, and its verdict.

use std::{
    env, io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tokio::{task::LocalSet, time};

use super::{
    attacker::Attacker,
    attacks::Attack,
    kit::server::{Server, disk_bytes},
    neighbour::Neighbours,
};

pub const MOST_MIB: f64 = 96.0;
pub const MOST_MS: f64 = 20.0;

const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// How long after its time an attacker may need to come to its end.
const SPARE: Duration = Duration::from_secs(12);

pub fn head() {
    println!(
        "\n{:44} {:>13} {:>15} {:>8} {:>8} {:>6} {:>6} {:>6} {:>7} {:7} the attacker got",
        "attack", "quiet p50/p99", "attacked", "more ms", "MiB", "+MiB", "cores", "disk", "log/s", "verdict"
    );
}

/// # Errors
/// When the server or the attacker does not start, or the neighbours are not welcomed.
pub async fn row(attack: &Attack, quiet: Duration, hostile: Duration) -> io::Result<String> {
    LocalSet::new().run_until(measure(attack, quiet, hostile)).await
}

async fn measure(attack: &Attack, quiet: Duration, hostile: Duration) -> io::Result<String> {
    // Not the system's directory for temporary files: that may be memory, and flushing it free.
    let parent = env::var_os("BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    let directory = tempfile::tempdir_in(parent)?;
    let data = directory.path().to_str().ok_or_else(|| io::Error::other("a path that is not UTF-8"))?;
    let mut attacker = Attacker::start(attack.name)?;
    let port = attacker.port.to_string();
    let settings: Vec<_> =
        attack.settings.iter().map(|(name, value)| (*name, value.replace("{port}", &port))).collect();
    let mut settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.push(("DATA_DIR", data));
    let server = Server::start_with_defaults(&settings)?;
    let neighbours = Neighbours::settle(server.address, Instant::now()).await?;
    time::sleep(Duration::from_millis(500)).await;
    neighbours.figures(Duration::ZERO).await;
    time::sleep(quiet).await;
    let before = neighbours.figures(Duration::from_secs(1)).await;

    let (resident, high, disk) = (server.resident_bytes()?, server.peak_bytes()?, disk_bytes(directory.path()));
    let (cpu, lines, begun) = (server.cpu()?, server.log_lines.load(Ordering::Relaxed), Instant::now());
    attacker.begin(server.address, hostile)?;
    let mut most = resident;
    while begun.elapsed() < hostile {
        time::sleep(Duration::from_millis(50)).await;
        most = most.max(server.resident_bytes()?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cores = (server.cpu()?.process - cpu.process) / seconds;
    let lines = (server.log_lines.load(Ordering::Relaxed) - lines) as f64 / seconds;
    let during = neighbours.figures(Duration::from_secs(5)).await;
    while !attacker.has_ended()? && begun.elapsed() < hostile + SPARE {
        time::sleep(Duration::from_millis(20)).await;
    }
    let report = if attacker.has_ended()? { attacker.report()? } else { "(did not end)".to_owned() };
    // The mark also saw what was given back between two looks; one from the start is older than the
    // attack.
    let peak = server.peak_bytes()?;
    let most = if peak > high { peak } else { most };
    let grown = most.saturating_sub(resident) as f64 / MEBIBYTE;
    let more = during.p99 - before.p99;
    let is_over = grown > MOST_MIB || more > MOST_MS || during.lost > 0 || during.ended > 0;
    let mut row = format!(
        "{:44} {:>13} {:>15} {more:8.1} {:8.1} {grown:6.1} {cores:6.2} {:6.1} {lines:7.1} {:7} {report}",
        attack.name,
        format!("{:.2}/{:.1}", before.p50, before.p99),
        format!("{:.2}/{:.1}", during.p50, during.p99),
        resident as f64 / MEBIBYTE,
        disk_bytes(directory.path()).saturating_sub(disk) as f64 / MEBIBYTE,
        if is_over { "over" } else { "ok" },
    );
    if during.lost > 0 || during.ended > 0 {
        row += &format!("; NEIGHBOURS lost {} messages and {} connections", during.lost, during.ended);
    }
    Ok(row)
}
