//! Owns what a process uses, as /proc says; nothing where there is none.

use std::{fs, path::Path};

/// What /proc counts CPU time in.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a server uses at a moment; `None` where it is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct ServerUsage {
    pub memory: Option<f64>,
    pub descriptors: Option<f64>,
    pub disk: Option<f64>,
    pub cpu_seconds: Option<f64>,
}

/// User and system time of a process; `self` is this one.
pub(super) fn cpu_seconds(process: &str) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the command may hold anything, so fields count from its bracket.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// What a process of this machine uses.
pub(super) fn of_process(pid: u32) -> ServerUsage {
    let memory = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
    };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(|files| files.count() as f64);
    ServerUsage { memory: memory(), descriptors, disk: None, cpu_seconds: cpu_seconds(&pid.to_string()) }
}

/// What the text of `/metrics` says.
pub(super) fn of_metrics(text: &str) -> ServerUsage {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next()?.trim().parse().ok()
    };
    ServerUsage {
        memory: value("process_resident_memory_bytes"),
        descriptors: value("process_open_fds"),
        disk: None,
        cpu_seconds: value("process_cpu_seconds_total"),
    }
}

/// The bytes of the files in a directory.
pub(super) fn size_of(directory: &Path) -> Option<f64> {
    let files = fs::read_dir(directory).ok()?.map_while(Result::ok);
    Some(
        files.filter_map(|file| file.metadata().ok()).filter(fs::Metadata::is_file).map(|file| file.len() as f64).sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_by_their_whole_names() {
        let text = "# TYPE process_open_fds gauge\nprocess_open_fds_max 9\nprocess_open_fds 31\n\
                    process_resident_memory_bytes 1048576\nprocess_cpu_seconds_total 1.5\n";
        let usage = of_metrics(text);
        assert_eq!((usage.memory, usage.descriptors, usage.cpu_seconds), (Some(1_048_576.0), Some(31.0), Some(1.5)));
        assert_eq!(of_metrics(""), ServerUsage::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_something() {
        let usage = of_process(std::process::id());
        assert!(usage.memory > Some(0.0) && usage.descriptors > Some(0.0) && usage.cpu_seconds.is_some(), "{usage:?}");
    }
}
