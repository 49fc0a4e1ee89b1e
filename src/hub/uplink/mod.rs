//! Owns the dialogue with one upstream feed, as its description defines it (section 6): a pure
//! machine, with no socket and no clock.
//!
//! After every call the actor carries out [`Uplink::drain`] in order, and calls [`Uplink::tick`] at
//! [`Uplink::next_deadline`]. Subscriptions wait for a tick too, which is due at once, so that
//! topics that become wanted together share a frame.

mod backoff;
mod codec;
mod heartbeat;
mod machine;
mod matcher;
mod note;
mod outage;
mod output;
mod pace;
mod rejection;
mod rules;
mod silence;
mod template;
#[cfg(test)]
mod tests;
mod wanted;

pub(super) use machine::Uplink;
pub(super) use note::Note;
pub(super) use output::{Counts, FeedStatus, Gap, Output, Rejected};
