//! Owns the dialogue with one upstream feed, as a description says it (section 6): a pure machine,
//! with no socket and no clock.
//!
//! After every call the actor carries out [`Uplink::drain`], in order, and sees to it that
//! [`Uplink::tick`] comes at [`Uplink::next_deadline`]: also subscriptions wait for a tick (due at
//! once), so that what is wanted together goes together.

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

pub use machine::Uplink;
pub use note::Note;
pub use output::{Counts, FeedStatus, Gap, Output, Rejected};
