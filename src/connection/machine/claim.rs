//! Owns what a connection over a limit of A5 must do to stay: replace another connection of its
//! address (A5a). A part of `Machine`.

use std::time::Duration;

use super::{Machine, Step};
use crate::protocol::{Cause, Refusal};

/// How long such a connection may wait before its first frame.
pub(super) const TIMEOUT: Duration = Duration::from_secs(2);

impl Machine {
    /// A5a: returns whether this connection may stay only if it replaces another one of its
    /// address.
    pub(crate) fn must_replace(&self) -> bool {
        self.over_limit.is_some()
    }

    /// Records that the connection has replaced another one.
    pub(crate) fn has_replaced(&mut self) {
        self.over_limit = None;
    }

    /// Closes a connection that is over a limit and has replaced no other one.
    pub(crate) fn refuse_over_limit(&self) -> Step {
        let message = self.over_limit.as_deref().map_or_else(String::new, Refusal::message);
        self.close(Cause::ConnectionLimit, &message)
    }

    /// A5a: closes a connection over a limit whose first frame does not authenticate it.
    pub(super) fn first_frame_decides(&self, step: Step) -> Step {
        match step {
            Step::Enter { .. } | Step::AwaitKeys { .. } | Step::Close { .. } => step,
            _ if self.must_replace() => self.refuse_over_limit(),
            _ => step,
        }
    }
}
