//! Owns the `process_*` metrics, read from /proc at each scrape; only Linux has them.

use std::fs;

use prometheus::{Counter, Gauge, core::Collector, proto::MetricFamily};

/// What /proc/self counts in (USER_HZ); the kernel fixes it at 100 for every architecture Rust's
/// std runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the process uses; `None` where it could not be read.
pub(super) struct Usage {
    pub resident_bytes: Option<f64>,
    pub cpu_seconds: Option<f64>,
    pub open_fds: Option<f64>,
    start_time: Option<f64>,
}

impl Usage {
    /// Reads /proc: a few milliseconds with many thousand sockets.
    pub(super) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let stat = stat.as_deref();
        Self {
            resident_bytes: resident_bytes(),
            cpu_seconds: stat.and_then(cpu_seconds),
            open_fds: open_fds(),
            start_time: stat.and_then(start_time),
        }
    }
}

/// The families whose source could be read.
pub(super) fn families() -> Vec<MetricFamily> {
    let usage = Usage::read();
    let readings = [
        ("process_resident_memory_bytes", "Resident memory in bytes.", false, usage.resident_bytes),
        ("process_cpu_seconds_total", "User and system CPU time in seconds.", true, usage.cpu_seconds),
        ("process_open_fds", "Open file descriptors.", false, usage.open_fds),
        ("process_start_time_seconds", "Start of the process, in Unix seconds.", false, usage.start_time),
    ];
    let mut families = Vec::new();
    for (name, help, is_counter, value) in readings {
        let Some(value) = value else { continue };
        if is_counter {
            let counter = Counter::new(name, help);
            families.extend(counter.into_iter().inspect(|c| c.inc_by(value)).flat_map(|c| c.collect()));
        } else {
            let gauge = Gauge::new(name, help);
            families.extend(gauge.into_iter().inspect(|g| g.set(value)).flat_map(|g| g.collect()));
        }
    }
    families
}

/// Field `n` of proc_pid_stat(5), counted from 1. The command name (2) may hold anything, so count
/// from its bracket.
fn stat_field(stat: &str, n: usize) -> Option<f64> {
    stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(n.checked_sub(3)?)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_time(stat: &str) -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(boot + stat_field(stat, 22)? / TICKS_PER_SECOND)
}

// Not statm: it counts pages, and a page is not 4 KiB everywhere.
fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

fn open_fds() -> Option<f64> {
    // One of them is the directory being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 777 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(stat_field(stat, 22), Some(777.0));
    }

    #[test]
    fn garbage_yields_nothing() {
        for stat in ["", ")", "1 (x) S", "no bracket"] {
            assert_eq!(cpu_seconds(stat), None, "{stat}");
        }
    }
}
