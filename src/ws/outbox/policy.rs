//! Owns the policies of an outbox: how a frame waits, and what happens when too much waits; pure.

use std::{rc::Rc, time::Instant};

use crate::{
    protocol::{PlayerId, Topic},
    ws::Frame,
};

/// How a frame waits for its client, and what happens past a bound. Each bound is `OUTBOX_BYTES`.
pub(crate) enum Policy<'a> {
    /// In order. Past the bound, the client is closed with [`Cause::TooSlow`] and its queue is
    /// released (S6). A single frame always fits.
    ///
    /// [`Cause::TooSlow`]: crate::protocol::Cause::TooSlow
    Live,
    /// In order, whatever its size: the frames that bring a client up to date when it joins must
    /// not close one that was away for long.
    CatchUp,
    /// As `Live`, but behind the conflated values, because the frame refers to them (H4).
    Behind,
    /// A value of which only the newest matters (S8). A client that keeps up gets it in order. For
    /// another, it replaces the value of its key that still waits, and past the bound the values
    /// that changed least recently are dropped. Never closes the client.
    Newest(&'a ValueKey),
    /// An update of a feed's topic (H6). A client that keeps up gets the frame. For another, the
    /// frame that `whole` makes replaces everything of this key that still waits, so no step of an
    /// incremental value is lost unnoticed.
    ///
    /// Updates that were made at the same time belong together: a client that kept up at the first
    /// of them gets them all as they are, within the bound. No topic's value displaces another's:
    /// past the bound, the client is closed with [`Cause::TooSlow`].
    ///
    /// [`Cause::TooSlow`]: crate::protocol::Cause::TooSlow
    Update { key: &'a ValueKey, whole: &'a mut dyn FnMut() -> Frame },
    /// In order, with a count of its own. Never closes the client: the sender waits with
    /// [`Outbox::poll_paced`] before the next frame.
    ///
    /// [`Outbox::poll_paced`]: super::Outbox::poll_paced
    Paced,
}

/// Identifies a value of which only the newest matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ValueKey {
    /// A volatile message of a room.
    Volatile { from: PlayerId, name: Rc<str> },
    /// The value of a feed's topic.
    Topic(Topic),
}

/// When a frame was made, and whether its write waits. An `Instant` alone stands for a frame that
/// is written at the end of this event-loop turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub made: Instant,
    /// The frame waits for [`Outbox::write_held`] or for the next frame that is not held.
    ///
    /// [`Outbox::write_held`]: super::Outbox::write_held
    pub is_held: bool,
}

impl From<Instant> for Timing {
    fn from(made: Instant) -> Self {
        Self { made, is_held: false }
    }
}
