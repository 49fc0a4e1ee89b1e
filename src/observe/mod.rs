//! Owns the server's own output: log lines, metrics, error reports; every text in them is scrubbed
//! (A12). It imports nothing of the crate but `protocol`.

pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod report;
pub(crate) mod stats;

mod events;
mod kinds;
mod line;
mod process;
mod recent;
mod refusals;
mod scrub;
mod upstreams;
