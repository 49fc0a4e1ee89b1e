//! Owns the budget of a session (X3): bytes and messages are counted here; seconds and sessions are
//! only named.

use std::fmt;

use crate::config::feeds::Budget;

/// The budget that is used up, and its size. `Display` writes it for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Seconds(u64),
    Bytes(u64),
    Messages(u64),
    SessionsPerPlayer(usize),
    Sessions(usize),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(max) => write!(f, "session_s: a session may last {max} s"),
            Self::Bytes(max) => write!(f, "bytes: a session may move {max}, both directions together"),
            Self::Messages(max) => write!(f, "messages: a session may have {max}, both directions together"),
            Self::SessionsPerPlayer(max) => {
                write!(f, "sessions_per_player: {max} at once; end another one, or wait until it has ended")
            }
            Self::Sessions(max) => write!(f, "sessions: {max} at once for everybody together; come back later"),
        }
    }
}

/// What a session has used, both directions together.
#[derive(Debug, Default)]
pub(super) struct Spending {
    pub bytes: u64,
    pub messages: u64,
}

impl Spending {
    /// Counts a message of `bytes`, if it still fits.
    ///
    /// # Errors
    /// The budget that the message exceeds; nothing is counted then.
    pub(super) fn spend(&mut self, bytes: usize, budget: &Budget) -> Result<(), Exceeded> {
        let (bytes, messages) = (self.bytes + bytes as u64, self.messages + 1);
        if let Some(max) = budget.bytes.filter(|max| bytes > *max) {
            return Err(Exceeded::Bytes(max));
        }
        if let Some(max) = budget.messages.filter(|max| messages > *max) {
            return Err(Exceeded::Messages(max));
        }
        *self = Self { bytes, messages };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x3_a_budget_may_be_used_up_to_the_last_byte_and_message() {
        let budget = Budget { bytes: Some(10), messages: Some(3), ..Budget::default() };
        let mut spending = Spending::default();
        assert_eq!(spending.spend(11, &budget), Err(Exceeded::Bytes(10)));
        assert_eq!((spending.bytes, spending.messages), (0, 0), "what does not fit is not counted");
        for bytes in [4, 6, 0] {
            assert_eq!(spending.spend(bytes, &budget), Ok(()));
        }
        assert_eq!(spending.spend(0, &budget), Err(Exceeded::Messages(3)));
        assert_eq!(spending.spend(1, &Budget::default()), Ok(()), "without a budget there is no end");
    }
}
