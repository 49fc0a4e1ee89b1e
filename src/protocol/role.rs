//! Owns `Role`: what a token or a query says a connection is to a room.

/// What a connection may do in a room (A11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Player,
    /// S10.
    Spectator,
}

impl Role {
    /// As in a token's `role`, the welcome and the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Spectator => "spectator",
        }
    }
}
