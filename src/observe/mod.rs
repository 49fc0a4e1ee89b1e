//! Owns what the server says about itself: log lines, metrics, error reports; every text in them is scrubbed (A12).
//! Called by `app` to start them and by every other layer to write; it imports nothing of the crate but `protocol`.

pub mod log;
pub mod metrics;
pub mod report;
pub mod stats;

mod events;
mod kinds;
mod line;
mod process;
mod recent;
mod refusals;
mod scrub;
mod upstreams;
