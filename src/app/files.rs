//! Owns how many files the process may open, and the share of plain HTTP.

use std::sync::Arc;

use slog::{Logger, warn};

use crate::{config::Config, http::SocketPermits, observe::metrics::Metrics};

/// Each connection is an open file, and the usual soft limit of 1024 would be too low. Returns how
/// many files the process may open.
pub(super) fn raise_file_limit(config: &Config, logger: &Logger) -> u64 {
    // Listeners, event loops, log and store.
    const OWN_FILES: u64 = 100;
    let wanted = config.gate.max_connections as u64 + OWN_FILES;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => {
            if limit < wanted {
                warn!(logger, "the limit of open files is below MAX_WS_CONNECTIONS"; "limit" => limit, "wanted" => wanted);
            }
            limit
        }
        Err(error) => {
            warn!(logger, "cannot raise the limit of open files"; "error" => %error);
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft)
        }
    }
}

/// Behind a proxy every socket comes from the proxy, which bounds its own clients.
pub(super) fn places(config: &Config, max_files: u64, metrics: &Arc<Metrics>) -> SocketPermits {
    let gate = &config.gate;
    let max_per_address = if gate.client_ip_header.is_some() { usize::MAX } else { gate.max_sockets_per_ip };
    SocketPermits::new(max_per_address, max_files, metrics.clone())
}
