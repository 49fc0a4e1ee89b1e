//! Owns the arithmetic of samples, and what this machine was like while they were taken.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    time::{Duration, Instant},
};

/// The sample that `share` (0 to 1) of all are not above; 0 without samples. Samples ascend.
pub fn percentile(samples: &[u64], share: f64) -> u64 {
    let last = samples.len().saturating_sub(1) as f64;
    samples.get((last * share) as usize).copied().unwrap_or(0)
}

/// The middle one, the greater of two; 0 without samples.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(0.0)
}

/// Runnable threads on average over the last minute: this machine may have other work.
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// The median time to make 4 KiB at the end of a file durable: what `sync` cannot go below.
///
/// # Errors
/// When the directory cannot be written.
pub fn flush_time(directory: &Path) -> io::Result<Duration> {
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(times)))
}
